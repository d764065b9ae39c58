"""The lifecycles of steps and pods: which events each status allows, and what an event changes.

``decide`` and ``evolve`` read these tables. The SQL that changes steps and the diagrams in
docs/architecture.md are rendered from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Generic, Literal, TypeVar, cast, get_args

import msgspec
from transitions import Machine

from fleet_q.core.errors import IllegalTransition

StepStatus = Literal["pending", "waiting", "claimed", "completed", "failed", "cancelled"]
PodStatus = Literal["up", "asleep", "draining", "down"]

STEP_STATUSES: Final[tuple[StepStatus, ...]] = get_args(StepStatus)
POD_STATUSES: Final[tuple[PodStatus, ...]] = get_args(PodStatus)

FINAL: Final[tuple[StepStatus, ...]] = ("completed", "failed", "cancelled")
"""The final statuses of a step. Only a replay leads out of them."""

OPEN: Final = tuple(status for status in STEP_STATUSES if status not in FINAL)
"""The others."""

S = TypeVar("S", bound=str)


class Lifecycle(Generic[S]):
    """A state machine: a table of statuses and triggers. It begins in one of ``begins``, by default
    in the first of the ``states``.

    The library ``transitions`` checks the declaration. Firing its triggers would cost microseconds
    for every step, so lookups use a dict built from its table.
    """

    def __init__(
        self,
        name: str,
        states: tuple[S, ...],
        table: list[tuple[str, tuple[S, ...], S]],
        begins: tuple[S, ...] = (),
    ) -> None:
        self.name = name
        self._begins = begins or states[:1]
        self.initial: S = states[0]
        self._states = frozenset(states)
        machine = Machine(
            model=None,
            states=list(states),
            initial=states[0],
            auto_transitions=False,
            transitions=[
                {"trigger": trigger, "source": list(sources), "dest": dest}
                for trigger, sources, dest in table
            ],
        )
        self._after: dict[tuple[str, str], S] = {
            (transition.source, trigger): cast("S", transition.dest)
            for trigger, event in machine.events.items()
            for transitions in event.transitions.values()
            for transition in transitions
        }

    def after(self, status: S, trigger: str, name: str | None = None) -> S:
        """The status after ``trigger``. Raises :class:`IllegalTransition` if ``status`` does not
        allow it; ``name`` is the id of the step or pod, for the message."""
        try:
            return self._after[status, trigger]
        except KeyError:
            raise IllegalTransition(
                self.name, trigger, status, name, is_known=status in self._states
            ) from None

    def allows(self, status: S, trigger: str) -> bool:
        """Whether ``status`` allows ``trigger``."""
        return (status, trigger) in self._after

    def triggers(self) -> set[str]:
        """The names of all triggers."""
        return {trigger for _, trigger in self._after}

    def mermaid(self) -> str:
        """The table as a Mermaid state diagram."""
        arrows = "\n".join(f"    {s} --> {dest}: {t}" for (s, t), dest in self._after.items())
        begins = "\n".join(f"    [*] --> {status}" for status in self._begins)
        return f"stateDiagram-v2\n{begins}\n{arrows}"


class NewValue(StrEnum):
    """What an event writes into one column of a step."""

    FROM_EVENT = "from event"
    """The value of the event's field of the same name."""
    FROM_EVENT_OR_UNCHANGED = "from event, else unchanged"
    """The value of that field; if it is ``None``, the column keeps its value."""
    FROM_EVENT_OR_NOW = "from event, else now"
    """The value of that field; if it is ``None``, the time of the event."""
    ACTING_POD = "acting pod"
    """The id of the pod that caused the event."""
    NULL = "null"
    ZERO = "zero"
    INCREMENTED = "incremented"
    """The old value plus one."""


class Effect(msgspec.Struct, frozen=True):
    """What an event changes in a step.

    The event is allowed in the statuses ``sources`` and leads to ``status``. ``columns`` are the
    columns that it changes, besides ``version`` and ``last_update_ts``, which every event changes.
    """

    sources: tuple[StepStatus, ...]
    status: StepStatus
    columns: Mapping[str, NewValue]


_CLAIM_SET: Final = {
    "claimed_by": NewValue.ACTING_POD,
    "incarnation": NewValue.FROM_EVENT,
    "claim_token": NewValue.FROM_EVENT,
}
_CLAIM_CLEARED: Final = dict.fromkeys(_CLAIM_SET, NewValue.NULL)
_ONE_TRY_USED: Final = {"retry_count": NewValue.INCREMENTED}
_TRIES_RESET: Final = {"retry_count": NewValue.ZERO, "snoozes": NewValue.ZERO}
_ERROR_SET: Final = {"error": NewValue.FROM_EVENT, "traceback": NewValue.FROM_EVENT}
_DEADLINE_CLEARED: Final = {"start_by_ts": NewValue.NULL}
_ERROR_CLEARED: Final = {"error": NewValue.NULL, "traceback": NewValue.NULL}

EFFECTS: Final[Mapping[str, Effect]] = {
    "claimed": Effect(("pending",), "claimed", _CLAIM_SET),
    "completed": Effect(
        ("claimed",), "completed", {"result": NewValue.FROM_EVENT, **_ERROR_CLEARED}
    ),
    "retried": Effect(
        ("claimed",),
        "pending",
        {**_CLAIM_CLEARED, **_ONE_TRY_USED, "available_ts": NewValue.FROM_EVENT, **_ERROR_SET},
    ),
    "released": Effect(
        ("claimed",),
        "pending",
        {**_CLAIM_CLEARED, "available_ts": NewValue.FROM_EVENT_OR_UNCHANGED},
    ),
    "recovered": Effect(
        ("claimed",),
        "pending",
        {
            **_CLAIM_CLEARED,
            **_ONE_TRY_USED,
            "available_ts": NewValue.FROM_EVENT_OR_UNCHANGED,
            "error": NewValue.FROM_EVENT,
            "traceback": NewValue.NULL,
        },
    ),
    "failed": Effect(("claimed",), "failed", _ERROR_SET),
    "cancelled": Effect(
        ("pending", "waiting", "claimed"),
        "cancelled",
        {"error": NewValue.FROM_EVENT_OR_UNCHANGED},
    ),
    "replayed": Effect(
        ("failed", "cancelled"),
        "pending",
        {
            **_CLAIM_CLEARED,
            **_TRIES_RESET,
            **_DEADLINE_CLEARED,
            "available_ts": NewValue.FROM_EVENT_OR_NOW,
        },
    ),
    "ready": Effect(("waiting",), "pending", {}),
    "parents_added": Effect(("waiting",), "waiting", {"parents": NewValue.FROM_EVENT}),
    "restored": Effect(
        ("failed", "cancelled"),
        "waiting",
        {**_CLAIM_CLEARED, **_TRIES_RESET, **_DEADLINE_CLEARED, **_ERROR_CLEARED},
    ),
    "snoozed": Effect(
        ("claimed",),
        "pending",
        {
            **_CLAIM_CLEARED,
            "available_ts": NewValue.FROM_EVENT,
            "snoozes": NewValue.INCREMENTED,
        },
    ),
    "checkpointed": Effect(("claimed",), "claimed", {"checkpoint": NewValue.FROM_EVENT}),
    "replaced": Effect(
        ("pending",),
        "pending",
        {
            **dict.fromkeys(
                ("payload", "priority", "available_ts", "task_type", "labels", "start_by_ts"),
                NewValue.FROM_EVENT,
            ),
            "checkpoint": NewValue.NULL,  # it was of the earlier payload
        },
    ),
    "reprioritized": Effect(("pending",), "pending", {"priority": NewValue.FROM_EVENT}),
    "rejected": Effect(("pending",), "failed", {"error": NewValue.FROM_EVENT}),
}
"""The effect of every event of a step, except ``submitted``."""

STEP: Final = Lifecycle[StepStatus](
    "step",
    STEP_STATUSES,
    [(event, effect.sources, effect.status) for event, effect in EFFECTS.items()],
    begins=("pending", "waiting"),
)

POD: Final = Lifecycle[PodStatus](
    "pod",
    POD_STATUSES,
    [
        ("joined", ("up", "asleep", "draining", "down"), "up"),
        ("slept", ("up",), "asleep"),
        ("woke", ("asleep",), "up"),
        ("draining", ("up", "asleep"), "draining"),
        ("left", ("up", "asleep", "draining"), "down"),
        ("declared_dead", ("up", "draining"), "down"),
    ],
)
