"""The records of which functions began, as the files beside a SQLite store tell of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fleet_q.core.ports import Orphan
from fleet_q.services.simulation.process import Process


class Starts:
    """See :class:`fleet_q.core.ports.StartRecords`. What a process itself does is left to its
    functions, which know when they began."""

    def __init__(self) -> None:
        self._processes: dict[str, Process] = {}

    def add(self, process: Process) -> None:
        """A process begins."""
        self._processes[_name(process.machine.incarnation)] = process

    def open(self, incarnation: str) -> None:
        return None

    def never_began(self, letters: Sequence[Orphan]) -> set[str]:
        return {
            letter.step_id
            for letter in letters
            if self.began(letter.incarnation, letter.step_id, letter.claim_token) is False
        }

    def began(
        self, incarnation: str, step_id: str, claim_token: str, before: float | None = None
    ) -> bool | None:
        """Whether a function began; ``None`` if that is unknown: the process lives, or did at the
        time ``before``, or gave the record up when it became another incarnation."""
        process = self._processes[_name(incarnation)]
        has_ended = not process.alive and (before is None or process.silent_since < before)
        if not has_ended or process.machine.incarnation != incarnation:
            return None
        return process.began(step_id, claim_token)

    def left_behind(self) -> list[str]:
        return []

    def remove(self, incarnations: Collection[str]) -> None:
        """None is left behind."""


def _name(incarnation: str) -> str:
    """Of the process that made it."""
    return incarnation.rpartition("/")[0]
