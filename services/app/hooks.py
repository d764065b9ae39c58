"""Hooks, functions of an app that are called when something has happened to a step."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar, get_args

from fleet_q.core.errors import InvalidInput
from fleet_q.services.app.callables import signature_of
from fleet_q.services.app.middleware import name_of
from fleet_q.services.app.views import StepView

HookName = Literal[
    "claimed",
    "completed",
    "retried",
    "failed",
    "snoozed",
    "released",
    "lost",
    "recovered",
    "dead_letter",
]
"""What hooks are called for; :meth:`fleet_q.FleetQ.on` describes each."""

HOOK_NAMES: Final[tuple[HookName, ...]] = get_args(HookName)


@dataclass(frozen=True)
class HookEvent:
    """What happened to a step, as hooks are told.

    ``step`` is the step after the event, ``attempt`` the number of the attempt that it is about,
    from 1, and ``pod_id`` the pod that calls the hook. ``error`` and ``traceback`` are those of a
    failed attempt. ``exception`` is what its function raised, if that ran in the pod's own process;
    it is ``None`` after a timeout. ``duration`` is for how many seconds the function ran; ``None``
    if it did not run in this pod.
    """

    name: HookName
    step: StepView
    attempt: int
    pod_id: str
    error: str | None = None
    traceback: str | None = None
    exception: BaseException | None = None
    duration: float | None = None


Hook = Callable[[HookEvent], Any]
HookT = TypeVar("HookT", bound=Hook)


class Hooks:
    """The hooks of an app, by what they are called for."""

    def __init__(self) -> None:
        self._by_name: dict[str, list[Hook]] = {}

    def add(self, names: Sequence[str], hook: Hook) -> None:
        """Call ``hook``, plain or async, for the events of these names, after those that were added
        before. Raises :class:`InvalidInput`."""
        try:
            signature_of(hook).bind(None)
        except (InvalidInput, TypeError) as error:
            raise InvalidInput(
                f"hook {name_of(hook)}: it is called with one argument, the event: {error}"
            ) from None
        for name in names:
            self._by_name.setdefault(name, []).append(hook)

    def of(self, name: HookName) -> Sequence[Hook]:
        """The hooks that are called for this, in the order in which they were added."""
        return self._by_name.get(name, ())

    @property
    def is_empty(self) -> bool:
        """Whether no hook was added."""
        return not self._by_name


def check_names(names: Sequence[object]) -> None:
    """Raise :class:`InvalidInput` unless these are names of hooks, at least one."""
    if not names:
        raise InvalidInput('app.on needs to know for what: write @app.on("failed") above the hook')
    for name in names:
        if name not in HOOK_NAMES:
            if callable(name):
                raise InvalidInput('write @app.on("failed") above the hook, with a name')
            close = difflib.get_close_matches(str(name), HOOK_NAMES, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(HOOK_NAMES)}"
            raise InvalidInput(f"there is no hook {name!r}; {hint}")
