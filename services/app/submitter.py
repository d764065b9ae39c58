"""Submitter, which submits steps of a task with options; the options of every submission."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Generic, ParamSpec, Protocol, TypedDict, Unpack, cast

import msgspec

from fleet_q.core.errors import InvalidInput
from fleet_q.core.step import OnConflict, Submit
from fleet_q.core.submission import After

P = ParamSpec("P")


class CommandOptions(TypedDict, total=False):
    """The options of a step; :meth:`fleet_q.FleetQ.submit` describes them."""

    step_id: str | None
    priority: int
    delay: float
    max_retries: int | None
    queue: str
    key: str | None
    unique_key: str | None
    unique_for: float | None
    on_conflict: OnConflict
    labels: Mapping[str, str] | None
    timeout: float | None
    after: After | None
    start_by: float | None


class SubmitOptions(CommandOptions, total=False):
    """The options of :meth:`fleet_q.FleetQ.submit`."""

    connection: object


OPTION_NAMES: Final = frozenset(SubmitOptions.__annotations__)


class SubmittingApp(Protocol):
    """The part of an app that stores steps."""

    def submit(self, payload: Mapping[str, Any], **options: Unpack[SubmitOptions]) -> str:
        """Store a step and return its id."""

    def submit_many(
        self, payloads: Iterable[Mapping[str, Any]], **options: Unpack[SubmitOptions]
    ) -> list[str]:
        """Store a step for every payload; return their ids, in order."""

    def command(self, payload: Mapping[str, Any], **options: Unpack[CommandOptions]) -> Submit:
        """Check a submission and return its command."""


class NewStep(msgspec.Struct, frozen=True):
    """A step that is described and not submitted: what ``task.step(...)`` returns.

    ``command`` submits it to ``app``, whose functions and settings have checked it.
    """

    app: SubmittingApp
    command: Submit

    @property
    def step_id(self) -> str:
        """The id that the step will have, for the ``after`` of others."""
        return self.command.step_id

    @property
    def task_type(self) -> str:
        """The name of its task."""
        return self.command.task_type


class Submitter(Generic[P]):
    """Submits steps of a task with the same options: what ``task.options(...)`` returns.

    ``make_payload`` makes the payload of a step from positional arguments and those by name.
    """

    def __init__(
        self,
        app: SubmittingApp,
        make_payload: Callable[[tuple[Any, ...], Mapping[str, Any]], dict[str, Any]],
        options: SubmitOptions,
    ) -> None:
        unknown = [name for name in options if name not in OPTION_NAMES]
        if unknown:
            names = ", ".join(sorted(OPTION_NAMES))
            raise TypeError(f"options() has no option {unknown[0]!r}; it has {names}")
        self._app = app
        self._make_payload = make_payload
        self._options = options

    def submit(self, /, *args: P.args, **kwargs: P.kwargs) -> str:
        """Submit a step that calls the function with these arguments; return the step's id.

        Raises :class:`InvalidInput` if the function does not accept the arguments, and what
        :meth:`fleet_q.FleetQ.submit` raises.
        """
        return self._app.submit(self._make_payload(args, kwargs), **self._options)

    def submit_many(self, arguments: Iterable[Mapping[str, Any]]) -> list[str]:
        """Submit a step for each of these arguments by name; return the steps' ids, in order.

        All are checked before the first is stored; see :meth:`fleet_q.FleetQ.submit_many`.
        """
        return self._app.submit_many(self._payloads(arguments), **self._options)

    def step(self, /, *args: P.args, **kwargs: P.kwargs) -> NewStep:
        """Describe a step that calls the function with these arguments, without submitting it. Its
        id is chosen now, and it is checked like a submission.

        Raises :class:`InvalidInput` if the function does not accept the arguments, or an option is
        out of range.
        """
        if "connection" in self._options:
            raise TypeError("step() takes no connection: it submits nothing")
        options = cast("CommandOptions", self._options)
        command = self._app.command(self._make_payload(args, kwargs), **options)
        return NewStep(self._app, command)

    def _payloads(self, arguments: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        for number, by_name in enumerate(arguments):
            if not isinstance(by_name, Mapping):
                raise InvalidInput(
                    f"arguments[{number}] must be a mapping from names to values, not"
                    f" {type(by_name).__name__}"
                )
            yield self._make_payload((), by_name)
