"""Which function runs which step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Generic, Literal, ParamSpec, Protocol, TypeVar

import msgspec

from fleet_q.core.errors import InvalidInput
from fleet_q.core.step import Step
from fleet_q.core.submission import check_retries, check_seconds
from fleet_q.services.app.callables import (
    TASK_TYPE,
    check_callable_by_name,
    check_takes_row,
    is_async,
    names_of,
    needed_by,
    signature_of,
)
from fleet_q.services.app.context import PermanentFailure
from fleet_q.services.app.origin import Origin, check_findable, origin

P = ParamSpec("P")
R = TypeVar("R")

Where = Literal["loop", "thread", "process"]
MOST_NAMED = 20
"""Task types that are listed in a line, at most."""


class App(Protocol):
    """What a task needs of the app that it is registered on."""

    @property
    def reference(self) -> str | None:
        """``module:app``, if the command line found the app so."""

    @property
    def made_in(self) -> Origin | None:
        """The module in whose import the app was made."""

    @property
    def number(self) -> int:
        """Which of the apps that this module makes it is, from 0."""

    @property
    def url(self) -> str | None:
        """The URL of the app's store, if other processes can open it too."""

    def submit(
        self, payload: Mapping[str, Any], *, step_id: str | None, priority: int, delay: float
    ) -> str:
        """Store a step and return its id."""


class Task(Generic[P, R]):
    """A registered function. Calling it calls the function; ``submit`` makes a step of the call.

    ``where`` says what it runs on: the event loop if it is async, a thread, or a process.
    """

    function: Callable[P, R]

    def __init__(
        self,
        app: App,
        name: str | None,
        function: Callable[P, R],
        *,
        max_retries: int | None,
        timeout: float | None,
        process: bool,
    ) -> None:
        if isinstance(function, Task):  # another name for it
            function = function.function
        self.registered_in = origin()
        try:
            if timeout is not None:
                check_seconds(timeout, "timeout")
                if timeout == 0:
                    raise InvalidInput("timeout must be more than 0 seconds")
            if max_retries is not None:
                check_retries(max_retries)
            signature = signature_of(function)
            if name is None:
                check_takes_row(signature)
            else:
                check_callable_by_name(function, signature)
            if process:
                if is_async(function):
                    raise InvalidInput("it is async; only a plain function can have a process")
                check_findable(function, self.registered_in)
        except InvalidInput as error:
            what = "executor" if name is None else f"task {name!r}"
            raise InvalidInput(f"{what}: {error}") from None
        self.name = name
        self.function = function
        self.max_retries = max_retries
        self.timeout = timeout
        self.where: Where = "process" if process else "loop" if is_async(function) else "thread"
        self.__doc__ = function.__doc__
        self.__name__ = getattr(function, "__name__", str(name))
        self.app = app
        self._signature = signature
        self._known = names_of(signature)
        self._needed = needed_by(signature)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def submit(
        self,
        *,
        step_id: str | None = None,
        priority: int = 0,
        delay: float = 0,
        **arguments: Any,
    ) -> str:
        """Submit a step that calls this function with ``arguments``; its id.

        Raises :class:`InvalidInput` if the function cannot be called so.
        """
        if TASK_TYPE in arguments:
            raise InvalidInput(
                f"task {self.name!r}: {TASK_TYPE!r} is no argument, it says which function a step"
                " calls; use another name"
            )
        payload = {TASK_TYPE: self.name, **arguments}
        try:
            self._check(arguments)
        except TypeError as error:
            raise InvalidInput(f"task {self.name!r}: {error}") from None
        return self.app.submit(payload, step_id=step_id, priority=priority, delay=delay)

    def bound(self, step: Step) -> Callable[[], R]:
        """The call that ``step`` asks for; :class:`PermanentFailure` if there can be none."""
        payload = _decode(step.payload)
        if self.name is None:  # the executor of all that no function is registered for
            return lambda: self.function(_as_row(step, payload))  # type: ignore[call-arg,arg-type]
        payload.pop(TASK_TYPE)
        try:
            self._check(payload)
        except TypeError as error:
            raise PermanentFailure(f"task {self.name!r}: {error}") from None
        return partial(self.function, **payload)

    def _check(self, arguments: dict[str, Any]) -> None:
        """``TypeError`` if the function cannot be called with these. Binding them is slow, and
        only needed to say what is wrong, or where names alone cannot tell."""
        if not (self._needed <= arguments.keys() <= self._known):
            self._signature.bind(**arguments)


def check_name(name: object) -> None:
    """A task type; ``InvalidInput`` for what can be none."""
    if callable(name):
        raise InvalidInput('a task needs its type: @app.task("some name") above the function')
    if not isinstance(name, str) or not name:
        raise InvalidInput(f"a task type must be a text that is not empty, not {name!r}")


class Registry:
    """The functions of one app, by task type."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task[Any, Any]] = {}
        self.fallback: Task[Any, Any] | None = None

    def add(self, task: Task[Any, Any]) -> None:
        """Register ``task``; :class:`InvalidInput` if its name is taken."""
        if task.name is None:
            if self.fallback is not None:
                raise InvalidInput("there is an executor already")
            self.fallback = task
            return
        if task.name in self._tasks:
            raise InvalidInput(f"a function is registered for task type {task.name!r} already")
        self._tasks[task.name] = task

    def named(self, task_type: object) -> Task[Any, Any] | None:
        """The function for exactly this type."""
        return self._tasks.get(task_type) if isinstance(task_type, str) else None

    def described(self) -> str:
        """The task types that it knows, in a line."""
        names = sorted(self._tasks)
        shown = ", ".join(names[:MOST_NAMED])
        if len(names) > MOST_NAMED:
            shown += f" and {len(names) - MOST_NAMED} more"
        if self.fallback is not None:
            return f"{shown}; an executor for all others" if names else "an executor for all"
        return shown or "NONE: every step will fail; name your app with --app"

    def task_of(self, step: Step) -> Task[Any, Any]:
        """The task that runs ``step``; :class:`PermanentFailure` if there is none."""
        try:
            task_type = _decode_type(step.payload).task_type
        except (msgspec.MsgspecError, RecursionError) as error:  # another program has written it
            raise PermanentFailure(f"the payload is not a JSON object: {error}") from None
        task = self.named(task_type) or self.fallback
        if task is None:
            known = ", ".join(sorted(self._tasks)) or "none"
            raise PermanentFailure(
                f"no function is registered for task type {task_type!r}; this pod knows: {known}"
                if task_type is not None
                else "the payload has no 'task_type', and this pod has no executor"
            )
        return task


class _Typed(msgspec.Struct):
    """What of a payload says which function it is for."""

    task_type: Any = None


_decode_type = msgspec.json.Decoder(_Typed).decode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def _as_row(step: Step, payload: Any) -> dict[str, Any]:
    """The step as ``execute_task(step)`` of the quickstart gets it: a row with its columns."""
    return {
        "STEP_ID": step.step_id,
        "STATUS": step.status,
        "CLAIMED_BY": step.claimed_by,
        "PAYLOAD": payload,
        "RETRY_COUNT": step.retry_count,
        "MAX_RETRIES": step.max_retries,
        "PRIORITY": step.priority,
        "CREATED_TS": step.created_ts,
        "LAST_UPDATE_TS": step.last_update_ts,
    }
