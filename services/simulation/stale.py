"""Stale reads: a session does not see yet what others have committed a moment ago."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Final

import msgspec

from fleet_q.adapters.memory import MemoryDatabase
from fleet_q.core.pod import PodChange
from fleet_q.core.ports import FinalStep
from fleet_q.core.queues import QueueWrite
from fleet_q.services.simulation.actor import Actor
from fleet_q.services.simulation.recording import RecordingDatabase, ScheduleChange, StepChange
from fleet_q.services.simulation.scenario import StaleReads, Table
from fleet_q.services.simulation.virtual_clock import VirtualClock

LAG: Final = 2.0
"""Seconds after its commit at which every session sees a change. The documentation of
READ_CONSISTENCY_MODE gives no number; one engineer found no stale read 0.27 s after the write."""

LONGEST_LAG: Final = 60.0
"""The same for what a pod reads of its own claims in a new session: longer than the time between
two heartbeats, or no such read would be stale."""

RENEWED_SHARE: Final = 0.5
"""The share of these reads that are stale."""

TABLES: Final[dict[str, Table]] = {
    "change_counter": "step_events",
    "pods": "pod_health",
    "sync": "step_tracker",
    "orphans": "step_tracker",
    "step": "step_tracker",
    "final_steps": "step_tracker",
}
"""The table that each query reads."""


class _Commit(msgspec.Struct):
    at: float
    steps: list[StepChange]
    pods: list[PodChange]
    pruned: list[str]
    queues: list[QueueWrite]
    schedules: list[ScheduleChange]
    change_counter: int


class LateCopy(MemoryDatabase):
    """A database to which commits are applied late."""

    def apply(self, commit: _Commit) -> None:
        with self.write() as tx:
            for pruned in commit.pruned:
                if pruned in self.steps:
                    final = FinalStep(pruned, self.steps[pruned].version)
                    tx.prune_steps([final], self.steps[pruned].last_update_ts)
                elif pruned in self.pods:
                    tx.prune_pod(self.pods[pruned])
            if commit.steps:
                tx.write_steps(commit.steps)
            tx.write_pods(commit.pods)
            tx.write_queues(commit.queues)
            for event, schedule in commit.schedules:
                tx.write_schedule(schedule, event)
        self._changes = commit.change_counter


class StaleViews:
    """Keeps a late copy of ``database``, and decides which reads are answered from it."""

    def __init__(
        self, database: RecordingDatabase, virtual_clock: VirtualClock, chance: Random
    ) -> None:
        self._database = database
        self._virtual_clock = virtual_clock
        self._chance = chance
        self._copy = LateCopy(virtual_clock.store_time)
        self._commits: deque[_Commit] = deque()  # not applied to the copy yet
        self._old_copy = LateCopy(virtual_clock.store_time)
        self._new_commits: deque[_Commit] = deque()  # not applied to the old copy yet
        self._renewed_until = 0.0
        self._last_commit: dict[Actor, float] = {}
        self._faults: list[tuple[float, StaleReads]] = []  # with their ends

    def begin(self, fault: StaleReads) -> None:
        """Let reads be stale for the duration of the fault."""
        self._faults.append((self._virtual_clock.now + fault.seconds, fault))

    def renew_sessions(self, seconds: float) -> None:
        """Let every call be in a new session for ``seconds``."""
        self._renewed_until = max(self._renewed_until, self._virtual_clock.now + seconds)

    def committed(self, actor: Actor) -> None:
        """Note what ``actor`` has committed, before the database's changes are taken."""
        database, now = self._database, self._virtual_clock.now
        commit = _Commit(
            now,
            list(database.step_changes),
            list(database.pod_changes),
            list(database.pruned),
            list(database.queue_changes),
            list(database.schedule_changes),
            database.change_counter(),
        )
        changes = (commit.steps, commit.pods, commit.pruned, commit.queues, commit.schedules)
        if any(changes):
            self._commits.append(commit)
            self._new_commits.append(commit)
            self._last_commit[actor] = now

    def view(self, actor: Actor, method: str) -> LateCopy | None:
        """The late copy if a read of ``actor`` is stale, else ``None``. An actor always sees what
        it has committed itself."""
        now, table = self._virtual_clock.now, TABLES.get(method)
        self._faults = [(end, fault) for end, fault in self._faults if end > now]
        share = max((f.share for _, f in self._faults if f.table == table), default=0.0)
        if not share or self._chance.random() >= share:
            return None
        until = max(now - LAG, self._last_commit.get(actor, 0.0))
        _apply(self._commits, until, self._copy)
        return self._copy

    def view_of_claims(self) -> LateCopy | None:
        """The late copy that a pod reads its own claims from if its session is new and the read is
        stale, else ``None``."""
        now = self._virtual_clock.now
        if now >= self._renewed_until or self._chance.random() >= RENEWED_SHARE:
            return None
        _apply(self._new_commits, now - LONGEST_LAG, self._old_copy)
        return self._old_copy


def _apply(commits: deque[_Commit], until: float, copy: LateCopy) -> None:
    while commits and commits[0].at <= until:
        copy.apply(commits.popleft())
