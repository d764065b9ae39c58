"""PodMetrics, which counts in memory what happens to the pods of an app."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import accumulate
from typing import Final, Literal

from fleet_q.core.errors import StoreContended
from fleet_q.core.firing import FiringStats
from fleet_q.core.pruning import PruneStats
from fleet_q.core.recovery import RecoveryStats
from fleet_q.core.retry import MICROS
from fleet_q.core.step import Complete, Fail, Outcome, Release, Step, is_retried
from fleet_q.core.worker.observer import Observer
from fleet_q.services.worker.runners.slots import Times

Pair = tuple[str, str]
"""A queue and a task type."""

Result = Literal["completed", "retried", "failed", "released", "snoozed", "rejected"]

MOST_PAIRS: Final = 200
"""Pairs that have numbers of their own. Every further pair counts as :data:`OTHERS`, so that many
queues cost neither the pod memory nor Prometheus many series."""

OTHERS: Final[Pair] = ("(others)", "(others)")

STEP_BUCKETS: Final = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400, 86400)
"""Upper bounds in seconds of the histograms of steps, which last from milliseconds to a day."""

SYNC_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Those of syncs: a local file answers in one millisecond, a queue for a lock takes seconds."""


class Histogram:
    """Counts values by upper bound. One thread adds them, and any may read."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.sum = 0.0
        self._counts = [0] * (len(bounds) + 1)

    def add(self, value: float) -> None:
        """Count ``value``."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def buckets(self) -> list[tuple[str, int]]:
        """Each upper bound, as Prometheus writes it, with the number of values up to it."""
        bounds = [*(str(float(bound)) for bound in self.bounds), "+Inf"]
        return list(zip(bounds, accumulate(self._counts.copy()), strict=True))


class PodMetrics(Observer):
    """Counters of the pods that an app has run in this process, one after another.

    The pod's thread counts, once a sync, and any thread may read. Counters only grow.

    - ``ended``: outcomes by queue, task type and result.
    - ``waits``: for how long a step was due before its first claim; ``runs``: for how long it had a
      slot, or a client held it.
    - ``syncs``: how long the store took to answer; ``lock_waited``: about how many seconds of that
      were spent waiting for locks; ``contended``: syncs that were rejected because too many waited.
    - ``unavailable``: calls that the store did not answer.
    - ``lost``: claims that were lost while the function ran.
    - What the pod did as the leader: ``dead_pods`` declared, steps ``requeued`` or ``failed`` that
      these had held, ``failed_recoveries``, ``fired``: steps submitted by schedules, ``pruned``.
    - ``leads``: whether it led in its last recovery cycle.
    """

    def __init__(self) -> None:
        self.ended: dict[tuple[str, str, Result], int] = {}
        self.waits: dict[Pair, Histogram] = {}
        self.runs: dict[Pair, Histogram] = {}
        self.syncs = Histogram(SYNC_BUCKETS)
        self.lock_waited = 0.0
        self.contended = 0
        self.unavailable = 0
        self.lost = 0
        self.dead_pods = 0
        self.requeued = 0
        self.failed = 0
        self.failed_recoveries = 0
        self.fired = 0
        self.pruned = 0
        self.leads = False
        self.is_by_hand = False
        """Whether steps have no slots: they are held by clients."""
        self.times: Times = deque()
        """The attempts that have ended since the last sync, with their times, from any thread."""
        self._pairs: set[Pair] = set()

    @property
    def wants_ended(self) -> bool:
        return True

    def on_claimed(self, steps: Sequence[Step]) -> None:
        self._add(
            self.waits,
            (
                (step, (step.last_update_ts - max(step.created_ts, step.available_ts)) / MICROS)
                for step in steps
                if step.version == 2  # submitted and claimed, and nothing else
            ),
        )

    def on_ended(
        self, ended: Sequence[tuple[Outcome, Step]], refused: Collection[str], at: int
    ) -> None:
        completed, queue, task_type = 0, "", ""
        for outcome, step in ended:
            if type(outcome) is not Complete or outcome.step_id in refused:
                result = "rejected" if outcome.step_id in refused else _result(outcome, step)
                self._count(step.queue, step.task_type, result, 1)
                continue
            if step.queue != queue or step.task_type != task_type:
                self._count(queue, task_type, "completed", completed)
                completed, queue, task_type = 0, step.queue, step.task_type
            completed += 1
        self._count(queue, task_type, "completed", completed)
        if self.is_by_hand:
            self.times.extend((step, (at - step.last_update_ts) / MICROS) for _, step in ended)

    def on_synced(self, seconds: float, waited: float) -> None:
        self.syncs.add(seconds)
        self.lock_waited += waited
        self._add(self.runs, [self.times.popleft() for _ in range(len(self.times))])

    def on_store_unavailable(self, error: Exception, wait: float) -> None:
        if isinstance(error, StoreContended):
            self.contended += 1
        else:
            self.unavailable += 1

    def on_lost(self, step: Step) -> None:
        self.lost += 1

    def on_claimed_again(self, step: Step) -> None:
        self.lost += 1

    def on_leads(self, leads: bool) -> None:
        self.leads = leads

    def on_recovery_ended(self, stats: RecoveryStats, error: Exception | None) -> None:
        self.dead_pods += stats.dead_pods
        self.requeued += stats.resubmitted
        self.failed += stats.terminal_failures
        self.failed_recoveries += error is not None

    def on_fired(self, stats: FiringStats, error: Exception | None) -> None:
        self.fired += stats.submitted

    def on_prune_ended(self, stats: PruneStats, error: Exception | None) -> None:
        self.pruned += stats.steps

    def _add(self, histograms: dict[Pair, Histogram], values: Iterable[tuple[Step, float]]) -> None:
        add: Callable[[float], None] | None = None
        queue = task_type = ""
        for step, seconds in values:
            if add is None or step.queue != queue or step.task_type != task_type:
                queue, task_type = step.queue, step.task_type
                pair = self._pair(queue, task_type)
                if pair not in histograms:
                    histograms[pair] = Histogram(STEP_BUCKETS)
                add = histograms[pair].add
            add(seconds)

    def _count(self, queue: str, task_type: str, result: Result, number: int) -> None:
        if number:
            key = (*self._pair(queue, task_type), result)
            self.ended[key] = self.ended.get(key, 0) + number

    def _pair(self, queue: str, task_type: str) -> Pair:
        pair = (queue, task_type)
        if pair in self._pairs:
            return pair
        if len(self._pairs) >= MOST_PAIRS:
            return OTHERS
        self._pairs.add(pair)
        return pair


def _result(outcome: Outcome, step: Step) -> Result:
    if isinstance(outcome, Fail):
        return "retried" if is_retried(step, outcome) else "failed"
    return "released" if isinstance(outcome, Release) else "snoozed"
