"""A store in this process's memory: for tests, and for apps whose steps may die with them."""

from __future__ import annotations

import heapq
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from fleet_q.adapters.clock import wall_clock
from fleet_q.core.errors import StoreError
from fleet_q.core.events import PodEvent, StepEvent
from fleet_q.core.lifecycles import STEP_STATUSES, StepStatus
from fleet_q.core.pod import Pod
from fleet_q.core.ports import Manners
from fleet_q.core.recovery import is_orphan
from fleet_q.core.step import Step, claim_order
from fleet_q.core.store import EventStore


class MemoryStore(EventStore):
    """A store that lives and dies with its process; any thread may use it.

    ``clock`` gives the store's time in microseconds since the Unix epoch.
    """

    def __init__(self, clock: Callable[[], int] = wall_clock) -> None:
        super().__init__(_MemoryDatabase(clock))


class _MemoryDatabase:
    def __init__(self, clock: Callable[[], int]) -> None:
        self.step_log: dict[str, list[StepEvent]] = {}
        self.pod_log: dict[str, list[PodEvent]] = {}
        self.steps: dict[str, Step] = {}
        self.pods: dict[str, Pod] = {}
        self.by_status: dict[StepStatus, dict[str, None]] = defaultdict(dict)
        self.manners = Manners()
        self._clock = clock
        self._lock = threading.RLock()
        self._changes = 0

    def bell(self) -> int:
        return self._changes

    @contextmanager
    def write(self) -> Iterator[_MemoryTransaction]:
        with self._lock:
            tx = _MemoryTransaction(self, self._clock())
            try:
                yield tx
            except BaseException:
                tx.roll_back()
                raise
            self._changes += tx.has_changed_steps

    read = write

    @contextmanager
    def snapshot(self) -> Iterator[_MemoryTransaction]:
        picture = _MemoryDatabase(self._clock)
        with self._lock:
            picture.step_log = {step_id: list(log) for step_id, log in self.step_log.items()}
            picture.pod_log = {pod_id: list(log) for pod_id, log in self.pod_log.items()}
            picture.steps, picture.pods = dict(self.steps), dict(self.pods)
            picture.by_status |= {status: dict(ids) for status, ids in self.by_status.items()}
        yield _MemoryTransaction(picture, self._clock())

    def close(self) -> None:
        pass


class _MemoryTransaction:
    def __init__(self, database: _MemoryDatabase, at: int) -> None:
        self.at = at
        self.has_changed_steps = False
        self._db = database
        self._undo: list[Callable[[], object]] = []

    def steps(self, step_ids: Sequence[str]) -> dict[str, Step]:
        known = self._db.steps
        return {step_id: known[step_id] for step_id in step_ids if step_id in known}

    def claimable(self, limit: int) -> list[Step]:
        due = (step for step in self._in_status("pending") if step.available_ts <= self.at)
        return heapq.nsmallest(limit, due, key=claim_order)

    def next_due(self) -> int | None:
        waiting = (step.available_ts for step in self._in_status("pending"))
        return min((due for due in waiting if due > self.at), default=None)

    def is_any_claimed(self) -> bool:
        return bool(self._db.by_status["claimed"])

    def claimed_under(self, pod_id: str, incarnation: str, claim_token: str) -> list[Step]:
        holder = (pod_id, incarnation, claim_token)
        return sorted(
            (
                step
                for step in self._in_status("claimed")
                if (step.claimed_by, step.incarnation, step.claim_token) == holder
            ),
            key=claim_order,
        )

    def orphans(self, after: str, limit: int) -> list[Step]:
        orphans = (
            step
            for step in self._in_status("claimed")
            if step.step_id > after and is_orphan(step, self._db.pods)
        )
        return heapq.nsmallest(limit, orphans, key=lambda step: step.step_id)

    def dead_letters(self, limit: int, before: tuple[int, str] | None) -> list[Step]:
        def age(step: Step) -> tuple[int, str]:
            return (step.last_update_ts, step.step_id)

        letters = (s for s in self._in_status("failed") if before is None or age(s) < before)
        return heapq.nlargest(limit, letters, key=age)

    def counts(self) -> dict[StepStatus, int]:
        return {status: len(self._db.by_status[status]) for status in STEP_STATUSES}

    def pods(self) -> list[Pod]:
        return [self._db.pods[pod_id] for pod_id in sorted(self._db.pods)]

    def pod(self, pod_id: str) -> Pod | None:
        return self._db.pods.get(pod_id)

    def history(self, step_id: str) -> list[StepEvent]:
        return list(self._db.step_log.get(step_id, ()))

    def step_events(self) -> Iterator[StepEvent]:
        for step_id in sorted(self._db.step_log):
            yield from self._db.step_log[step_id]

    def pod_events(self) -> Iterator[PodEvent]:
        for pod_id in sorted(self._db.pod_log):
            yield from self._db.pod_log[pod_id]

    def all_steps(self) -> Iterator[Step]:
        for step_id in sorted(self._db.steps):
            yield self._db.steps[step_id]

    def write_steps(self, changes: Sequence[tuple[StepEvent, Step]]) -> None:
        self.has_changed_steps = True
        for event, step in changes:
            if event.version == 1 and self._db.step_log.get(event.stream):
                raise StoreError(f"step {event.stream!r} exists, though its id should be unique")
            stream = self._db.step_log.setdefault(event.stream, [])
            stream.append(event)
            self._undo.append(stream.pop)
            self._keep(step)

    def write_pods(self, changes: Sequence[tuple[PodEvent, Pod]]) -> None:
        for event, pod in changes:
            stream = self._db.pod_log.setdefault(event.stream, [])
            stream.append(event)
            self._undo.append(stream.pop)
            self._undo.append(partial(self._restore_pod, pod.pod_id, self._db.pods.get(pod.pod_id)))
            self._db.pods[pod.pod_id] = pod

    def replace_steps(self, steps: Iterable[Step]) -> None:
        fresh = list(steps)
        for step_id in list(self._db.steps):
            self._forget(step_id)
        for step in fresh:
            self._keep(step)

    def replace_pods(self, pods: Iterable[Pod]) -> None:
        self._db.pods = {pod.pod_id: pod for pod in pods}

    def roll_back(self) -> None:
        while self._undo:
            self._undo.pop()()

    def _restore_pod(self, pod_id: str, old: Pod | None) -> None:
        if old is None:
            del self._db.pods[pod_id]
        else:
            self._db.pods[pod_id] = old

    def _in_status(self, status: StepStatus) -> Iterator[Step]:
        return (self._db.steps[step_id] for step_id in self._db.by_status[status])

    def _keep(self, step: Step) -> None:
        old = self._db.steps.get(step.step_id)
        self._put(step, old)
        self._undo.append(
            partial(self._forget, step.step_id) if old is None else partial(self._put, old, step)
        )

    def _put(self, step: Step, old: Step | None) -> None:
        if old is not None:
            self._db.by_status[old.status].pop(old.step_id, None)
        self._db.steps[step.step_id] = step
        self._db.by_status[step.status][step.step_id] = None

    def _forget(self, step_id: str) -> None:
        step = self._db.steps.pop(step_id)
        self._db.by_status[step.status].pop(step_id, None)
