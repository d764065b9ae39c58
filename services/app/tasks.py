"""Task, a registered function, and Registry, which finds the task of a step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import cached_property, partial
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    TypeVar,
    Unpack,
    overload,
)

import msgspec

from fleet_q.core.errors import InvalidInput, StepNotCompleted
from fleet_q.core.routing import Routes
from fleet_q.core.step import Step
from fleet_q.core.submission import TASK_TYPE, check_id, check_retries, check_timeout
from fleet_q.services.app.arguments import Arguments, result_codec
from fleet_q.services.app.callables import (
    ARGUMENTS,
    check_callable_by_name,
    check_takes_row,
    is_async,
    signature_of,
)
from fleet_q.services.app.codec import Codec
from fleet_q.services.app.context import PermanentFailure, RunningApp
from fleet_q.services.app.hooks import Hooks
from fleet_q.services.app.middleware import Around, Middleware
from fleet_q.services.app.origin import Origin, check_findable, origin
from fleet_q.services.app.retries import Retries
from fleet_q.services.app.submitter import NewStep, SubmitOptions, Submitter, SubmittingApp
from fleet_q.services.app.views import StepView

if TYPE_CHECKING:
    from fleet_q.services.app.tracing import Tracing

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

Where = Literal["loop", "thread", "process"]
MOST_NAMED = 20
"""The most task types that a message lists."""


class App(SubmittingApp, RunningApp, Protocol):
    """The app that a task is registered on, as far as tasks and child processes use it."""

    @property
    def reference(self) -> str | None:
        """``module:app``, if the command line loaded the app by that name."""

    @property
    def made_in(self) -> Origin | None:
        """The module whose import made the app."""

    @property
    def number(self) -> int:
        """The app's number among those that its module makes, from 0."""

    @property
    def url(self) -> str | None:
        """The URL of the app's store, or ``None`` if other processes cannot open it."""

    @property
    def around(self) -> Middleware:
        """The middleware of the app."""

    def wait(self, step_id: str, timeout: float | None) -> StepView:
        """Wait until a step is final; return it."""


class Task(Generic[P, R]):
    """A registered function. Calling the task calls the function; ``submit`` submits a step.

    ``retries`` is its retry policy, or ``None`` for that of the settings.
    ``where`` is where the function runs: ``loop`` if it is async, else ``thread`` or ``process``.
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
        retries: Retries | None = None,
    ) -> None:
        if isinstance(function, Task):  # the function is registered under a second name
            function = function.function
        self.registered_in = origin()
        try:
            if timeout is not None:
                check_timeout(timeout)
            if max_retries is not None:
                check_retries(max_retries)
            signature = signature_of(function)
            if name is None:
                check_takes_row(signature)
            else:
                check_callable_by_name(function, signature)
                self._arguments = Arguments(function, signature)
            if process:
                if is_async(function):
                    raise InvalidInput(
                        "an async function cannot run in a process; make it a plain one"
                    )
                check_findable(function, self.registered_in)
        except InvalidInput as error:
            what = "executor" if name is None else f"task {name!r}"
            raise InvalidInput(f"{what}: {error}") from None
        self.name = name
        self.function = function
        self.called: Callable[..., Any] = function  # by steps, with the app's middleware round it
        self.max_retries = max_retries
        self.timeout = timeout
        self.retries = retries
        self.where: Where = "process" if process else "loop" if is_async(function) else "thread"
        self.__doc__ = function.__doc__
        self.__name__ = getattr(function, "__name__", str(name))
        self.app = app
        self._signature = signature

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def submit(self, /, *args: P.args, **kwargs: P.kwargs) -> str:
        """Submit a step that calls this function with these arguments; return the step's id.

        Raises :class:`InvalidInput` if the function does not accept the arguments.
        """
        return self.app.submit(self.payload_of(args, kwargs))

    def step(self, /, *args: P.args, **kwargs: P.kwargs) -> NewStep:
        """Describe a step that calls this function with these arguments, without submitting it; see
        :meth:`Submitter.step`."""
        return self.options().step(*args, **kwargs)

    def submit_many(self, arguments: Iterable[Mapping[str, Any]]) -> list[str]:
        """Submit a step for each of these arguments by name; return the steps' ids, in order.

        All are checked before the first is stored; see :meth:`fleet_q.FleetQ.submit_many`.
        """
        return self.options().submit_many(arguments)

    def options(self, **options: Unpack[SubmitOptions]) -> Submitter[P]:
        """Return what submits steps of this task with these options of
        :meth:`fleet_q.FleetQ.submit`: ``task.options(priority=1).submit(file="x")``."""
        return Submitter(self.app, self.payload_of, options)

    @overload
    def result(
        self: Task[P, Coroutine[Any, Any, T]], step_id: str, timeout: float | None = None
    ) -> T: ...
    @overload
    def result(self, step_id: str, timeout: float | None = None) -> R: ...
    def result(self, step_id: str, timeout: float | None = None) -> Any:
        """Wait until a step of this task is final; return what its function returned.

        The result is of the type that the function is annotated with, or else a JSON value. Raises
        ``StepNotCompleted`` if the step failed or was cancelled, ``TimeoutError`` after ``timeout``
        seconds, and what :meth:`fleet_q.FleetQ.wait` raises.
        """
        step = self.app.wait(step_id, timeout)
        if step.status != "completed":
            raise StepNotCompleted(step_id, step.status, step.error)
        codec = self._result_codec
        return step.result if codec is None else codec.from_json(step.result, None)

    def payload_of(self, args: tuple[Any, ...], arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the payload of a step that calls the function with these arguments."""
        if args:
            try:
                arguments = self._arguments.by_name(args, arguments)
            except InvalidInput as error:
                raise InvalidInput(f"task {self.name!r}: {error}") from None
        if TASK_TYPE in arguments or ARGUMENTS in arguments:
            return {TASK_TYPE: self.name, ARGUMENTS: arguments}
        return {TASK_TYPE: self.name, **arguments}

    def some_as_json(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return some of the arguments of a step as JSON values, or as they are if they are none.
        Raises ``TypeError`` for one that the function does not have."""
        return {} if self.name is None else self._arguments.some_to_json(arguments)

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """The defaults of the function's parameters, as JSON values."""
        empty = inspect.Parameter.empty
        parameters = self._signature.parameters.items()
        return self.some_as_json({n: p.default for n, p in parameters if p.default is not empty})

    def checked(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Return the payload of a submission with its arguments as JSON values.

        Raises :class:`InvalidInput` if the function does not accept the arguments.
        """
        try:
            arguments = payload.copy()
            del arguments[TASK_TYPE]
            if ARGUMENTS in arguments:
                arguments = _nested_in(arguments)
            is_converted = self._arguments.to_json(arguments)
        except InvalidInput as error:
            raise InvalidInput(f"task {self.name!r}: {error}") from None
        if not is_converted:
            return payload
        if ARGUMENTS in payload:
            return {TASK_TYPE: self.name, ARGUMENTS: arguments}
        return {TASK_TYPE: self.name, **arguments}

    def bound(self, step: Step) -> Callable[[], R]:
        """Return the function bound to the payload of ``step``.

        Raises :class:`PermanentFailure` if the function does not accept the payload.
        """
        try:
            payload = _decode(step.payload)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise _no_object(error) from None
        if self.name is None:  # the executor
            return lambda: self.called(_as_row(step, payload))
        try:
            payload.pop(TASK_TYPE, None)
            if ARGUMENTS in payload:
                payload = _nested_in(payload)
            arguments = self._arguments.from_json(payload)
        except InvalidInput as error:
            raise PermanentFailure(f"task {self.name!r}: {error}") from None
        return partial(self.called, **arguments)

    def result_to_json(self, result: Any) -> Any:
        """Return what the function returned as JSON values, if its annotation tells how. Raises
        :class:`InvalidInput`."""
        return result if self.encode_result is None else self.encode_result(result)

    @cached_property
    def encode_result(self) -> Callable[[Any], Any] | None:
        """The function of :meth:`result_to_json`; ``None`` if results are JSON already."""
        codec = self._result_codec
        return None if codec is None or codec.is_json else codec.result_to_json

    @cached_property
    def _result_codec(self) -> Codec | None:
        return result_codec(self.function, self._signature)


def check_name(name: object) -> None:
    """Raise :class:`InvalidInput` if ``name`` is not a task type."""
    if callable(name):
        raise InvalidInput(
            'app.task needs a task type: write @app.task("some name") above the function'
        )
    if not isinstance(name, str) or not name:
        raise InvalidInput(f"a task type must be a non-empty string, not {name!r}")
    check_id(name, "a task type")


class Registry:
    """The functions of one app, by task type."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task[Any, Any]] = {}
        self.fallback: Task[Any, Any] | None = None
        self.hooks = Hooks()
        self.middleware = Middleware()
        self.tracing: Tracing | None = None
        self._routes: Routes | None = None

    def add(self, task: Task[Any, Any]) -> None:
        """Register ``task``; :class:`InvalidInput` if its name is taken."""
        self._routes = None
        task.called = self.middleware.round(task.function)
        if task.name is None:
            if self.fallback is not None:
                raise InvalidInput("the app already has an executor; register a task instead")
            self.fallback = task
            return
        if task.name in self._tasks:
            raise InvalidInput(f"task type {task.name!r} already has a function; choose another")
        self._tasks[task.name] = task

    def add_middleware(self, around: Around) -> None:
        """Call ``around`` round the functions of all tasks. Raises :class:`InvalidInput`."""
        self.middleware.add(around)
        for task in [*self._tasks.values(), *([self.fallback] if self.fallback else [])]:
            task.called = self.middleware.round(task.function)

    def routes(self, queues: tuple[str, ...] | None) -> Routes:
        """Which steps of these queues (``None``: all) have a function here."""
        if self._routes is None or self._routes.queues != queues:
            types = None if self.fallback is not None else tuple(sorted(self._tasks))
            self._routes = Routes(queues, types)
        return self._routes

    @property
    def is_empty(self) -> bool:
        """Whether no function is registered."""
        return self.fallback is None and not self._tasks

    @property
    def names(self) -> list[str]:
        """The task types that have a function of their own, in order."""
        return sorted(self._tasks)

    def named(self, task_type: object) -> Task[Any, Any] | None:
        """Return the task of exactly this type, or ``None``."""
        return self._tasks.get(task_type) if isinstance(task_type, str) else None

    def described(self) -> str:
        """Return the task types in one line, for the log."""
        names = sorted(self._tasks)
        shown = ", ".join(names[:MOST_NAMED])
        if len(names) > MOST_NAMED:
            shown += f" and {len(names) - MOST_NAMED} more"
        if self.fallback is not None:
            return f"{shown}; an executor for all others" if names else "an executor for all"
        return shown or "none, so this pod runs no steps"

    def task_of(self, step: Step) -> Task[Any, Any]:
        """Return the task of ``step``. Raises :class:`PermanentFailure` if there is none."""
        if (task := self._tasks.get(step.task_type)) is not None:
            return task
        try:
            task_type = _decode_type(step.payload).task_type
        except (msgspec.MsgspecError, RecursionError) as error:
            raise _no_object(error) from None
        task = self.named(task_type) or self.fallback
        if task is None:
            registered = ", ".join(sorted(self._tasks)) or "none"
            raise PermanentFailure(
                f"no function is registered for task type {task_type!r}; registered: {registered}"
                if task_type is not None
                else "the payload has no 'task_type', and this pod has no executor"
            )
        return task


def _no_object(error: Exception) -> PermanentFailure:
    """The failure of a step whose payload FLEET-Q has not written."""
    return PermanentFailure(f"the payload is not a JSON object: {error}")


class _Typed(msgspec.Struct):
    """The part of a payload that selects the function."""

    task_type: Any = None


def _nested_in(payload: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments that stand under a key of their own. Raises :class:`InvalidInput` if
    other arguments stand beside it."""
    arguments = payload.pop(ARGUMENTS)
    if payload:
        others = ", ".join(map(repr, payload))
        raise InvalidInput(f"the payload has {ARGUMENTS!r} and other arguments: {others}")
    if not isinstance(arguments, dict):
        raise InvalidInput(f"{ARGUMENTS!r} must be an object of arguments by name")
    return arguments.copy()


_decode_type = msgspec.json.Decoder(_Typed).decode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def _as_row(step: Step, payload: Any) -> dict[str, Any]:
    """Return the step as the argument of an executor: the quickstart's ``execute_task(step)``."""
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
