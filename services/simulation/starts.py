"""Records of which functions began, as pods on SQLite keep them in files beside the store."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fleet_q.core.ports import Orphan
from fleet_q.services.simulation.pod_process import PodProcess, process_of


class Starts:
    """Implements :class:`fleet_q.core.ports.StartRecords` by asking the simulated processes, whose
    functions know which of them began."""

    def __init__(self) -> None:
        self._processes: dict[str, PodProcess] = {}

    def add(self, process: PodProcess) -> None:
        """Register a process that starts."""
        self._processes[process.process_id] = process

    def open(self, incarnation: str) -> None:
        return None

    def never_began(self, orphans: Sequence[Orphan]) -> set[str]:
        return {
            orphan.step_id
            for orphan in orphans
            if self.began(orphan.incarnation, orphan.step_id, orphan.claim_token) is False
        }

    def began(
        self, incarnation: str, step_id: str, claim_token: str, before: float | None = None
    ) -> bool | None:
        """Whether a function began. ``None`` if that is unknown: the process keeps no records, is
        alive, or was at the time ``before``, or has become another incarnation, which discards its
        record."""
        process = self._processes[process_of(incarnation)]
        if not process.records_starts:
            return None
        has_ended = not process.alive and (before is None or process.silent_since < before)
        if not has_ended or process.machine.incarnation != incarnation:
            return None
        return process.has_begun(step_id, claim_token)

    def left_behind(self) -> list[str]:
        return []

    def remove(self, incarnations: Collection[str]) -> None:
        """Do nothing: simulated records need no cleaning."""
