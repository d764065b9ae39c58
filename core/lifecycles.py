"""The two lifecycles, declared once: what may follow what.

``decide`` asks these tables before it lets anything happen, ``evolve`` takes every new status from
them, and the pictures in docs/architecture.md are drawn from them.
"""

from __future__ import annotations

from typing import Final, Generic, Literal, TypeVar, cast

from transitions import Machine

from fleet_q.core.errors import IllegalTransition

StepStatus = Literal["pending", "claimed", "completed", "failed", "cancelled"]
PodStatus = Literal["up", "asleep", "draining", "down"]

STEP_STATUSES: Final[tuple[StepStatus, ...]] = (
    "pending",
    "claimed",
    "completed",
    "failed",
    "cancelled",
)
POD_STATUSES: Final[tuple[PodStatus, ...]] = ("up", "asleep", "draining", "down")

S = TypeVar("S", bound=str)


class Lifecycle(Generic[S]):
    """A table of states and triggers, declared with ``transitions`` and looked up in a dict.

    The library checks the declaration; a call of one of its triggers would cost some
    microseconds for every step, so the table that it built is read instead.
    """

    def __init__(
        self,
        name: str,
        states: tuple[S, ...],
        table: list[tuple[str, tuple[S, ...], S]],
    ) -> None:
        self.name = name
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
        """The status that ``trigger`` leads to; :class:`IllegalTransition`, with the ``name`` of
        whose status it is, if it is forbidden."""
        try:
            return self._after[status, trigger]
        except KeyError:
            raise IllegalTransition(
                self.name, trigger, status, name, is_known=status in self._states
            ) from None

    def allows(self, status: S, trigger: str) -> bool:
        """Whether ``trigger`` may happen in ``status``."""
        return (status, trigger) in self._after

    def triggers(self) -> set[str]:
        """The names of all triggers."""
        return {trigger for _, trigger in self._after}

    def mermaid(self) -> str:
        """The table as a Mermaid state diagram."""
        arrows = "\n".join(f"    {s} --> {dest}: {t}" for (s, t), dest in self._after.items())
        return f"stateDiagram-v2\n    [*] --> {self.initial}\n{arrows}"


STEP: Final = Lifecycle[StepStatus](
    "step",
    STEP_STATUSES,
    [
        ("claimed", ("pending",), "claimed"),
        ("completed", ("claimed",), "completed"),
        ("retried", ("claimed",), "pending"),
        ("released", ("claimed",), "pending"),
        ("recovered", ("claimed",), "pending"),
        ("failed", ("claimed",), "failed"),
        ("cancelled", ("pending", "claimed"), "cancelled"),
        ("replayed", ("failed", "cancelled"), "pending"),
    ],
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
