"""Completions, the line of a pod's log that says which steps were completed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from time import monotonic
from typing import Final

from fleet_q.core.retry import MICROS
from fleet_q.core.step import Complete, Outcome, Step

INTERVAL: Final = 1.0
"""Seconds between two lines: a pod may complete thousands of steps a second."""

MOST_NAMED: Final = 3
"""The most steps that a line names."""


class Completions:
    """Collects the steps that were completed since the last line, which is at least ``INTERVAL``
    ago when the next one is due. ``clock`` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._logged_at = -INTERVAL
        self._count = 0
        self._named: list[str] = []

    def add(self, ended: Sequence[tuple[Outcome, Step]], refused: Collection[str], at: int) -> None:
        """The store has recorded these outcomes at store time ``at``, except those ``refused``."""
        for outcome, step in ended:
            if type(outcome) is Complete and step.step_id not in refused:
                self._count += 1
                if len(self._named) < MOST_NAMED:
                    seconds = max(0, at - step.last_update_ts) / MICROS  # the claim was the last
                    task_type = f"{step.task_type} " if step.task_type else ""
                    self._named.append(f"{task_type}{step.step_id} ({seconds:.2f} s)")

    def take(self, *, at_once: bool = False) -> str | None:
        """The line that is due, or would be due later, if it is taken ``at_once``."""
        if not self._count or not (at_once or self._clock() - self._logged_at >= INTERVAL):
            return None
        steps = "1 step" if self._count == 1 else f"{self._count} steps"
        named = ", ".join(self._named)
        more = self._count - len(self._named)
        self._logged_at, self._count, self._named = self._clock(), 0, []
        return f"completed {steps}: {named}" + (f" and {more} more" if more else "")
