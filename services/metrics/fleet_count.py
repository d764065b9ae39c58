"""FleetCount, which counts the steps of a fleet for its metrics, as rarely as it can."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fleet_q.core.calls import run
from fleet_q.core.ports import Backlog, Store
from fleet_q.core.queue_stats import QueueStats
from fleet_q.core.retry import MICROS, micros
from fleet_q.core.settings import PodSettings
from fleet_q.core.unserved import Pair, unserved_among
from fleet_q.services.app.on_change import ReadOnChange
from fleet_q.services.worker.careful_log import CarefulLogger
from fleet_q.services.worker.pod_metrics import PodMetrics
from fleet_q.services.worker.pod_thread import Pod

log = CarefulLogger("fleet_q.metrics")

ANSWER_WITHIN: Final = 5.0
"""Seconds that a scrape waits for the store; half of Prometheus' default timeout."""

COUNT_INTERVAL: Final = 5.0
BILLED_COUNT_INTERVAL: Final = 60.0
"""Seconds between two counts of a pod at least; the longer one where the store bills them."""

VALID_FOR: Final = 60.0
"""Seconds for which a count is valid although the change counter stays the same, because pods have
come and gone meanwhile; not where the store bills for it."""

_WINDOW: Final = micros(60)


@dataclass(frozen=True)
class Count:
    """The steps of a fleet. ``unserved`` are the pairs of queue and task type of pending steps that
    no live pod takes."""

    backlog: Backlog
    stats: QueueStats
    unserved: frozenset[Pair]


class FleetCount:
    """Counts the steps in ``store``. Any thread may use it.

    It reads the store in a thread of its own, and only after the change counter has changed, or
    when a step has become due: see :class:`ReadOnChange`. Where the store bills reads, the counter
    is not read either if ``seen`` tells what the pod has seen of changes: something else than
    before, or ``None`` if it does not look for them. ``clock`` is monotonic, in seconds.
    """

    def __init__(
        self,
        store: Callable[[], Store],
        settings: PodSettings,
        *,
        seen: Callable[[], object] = lambda: None,
        within: float = ANSWER_WITHIN,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open = store
        self._settings = settings
        self._seen = seen
        self._within = within
        self._clock = clock
        self._on_change: ReadOnChange[Count] | None = None
        self._interval = COUNT_INTERVAL
        self._is_billed = False
        self._last: tuple[Count, float] | None = None
        self._next_at = 0.0
        self._lock = threading.Lock()
        self._under_way: threading.Event | None = None
        self.is_available = True
        """Whether the store answered the last time it was asked."""

    def current(self) -> tuple[Count, float] | None:
        """Return the last count and how many seconds old it is; ``None`` if there is none yet, or
        the store does not answer."""
        with self._lock:
            if self._last is None or self._clock() >= self._next_at:
                if self._under_way is None:
                    self._under_way = threading.Event()
                    self._start(self._under_way)
                under_way = self._under_way
            else:
                under_way = None
        if under_way is not None and not under_way.wait(self._within):
            self.is_available = False
        last = self._last
        if last is None or not self.is_available:
            return None
        return last[0], self._clock() - last[1]

    def _start(self, done: threading.Event) -> None:
        try:
            threading.Thread(
                target=self._refresh, args=(done,), name="fleet-q-metrics", daemon=True
            ).start()
        except RuntimeError as error:  # no thread can be started
            self._fail(error)
            self._finish(done)

    def _refresh(self, done: threading.Event) -> None:
        try:
            count, age = self._reader().current()
        except Exception as error:
            self._fail(error)
        else:
            now = self._clock()
            self._last = count, now - age
            self._next_at = now + self._interval
            self.is_available = True
        with self._lock:
            self._finish(done)

    def _finish(self, done: threading.Event) -> None:
        self._under_way = None
        done.set()

    def _fail(self, error: Exception) -> None:
        if self.is_available:
            log.warning("the steps of the fleet are not counted: %s", error)
        self.is_available = False

    def _reader(self) -> ReadOnChange[Count]:
        if self._on_change is None:
            store = self._open()
            self._is_billed = store.traits.writes_are_billed
            if self._is_billed:
                self._interval = BILLED_COUNT_INTERVAL
            self._on_change = ReadOnChange(
                _SeenByPod(store, self._seen) if self._is_billed else store,
                lambda: read_count(store, self._settings),
                self._settings.claim_interval,
                self._valid_for,
                self._clock,
            )
        return self._on_change

    def _valid_for(self, count: Count) -> float | None:
        backlog = count.backlog
        longest = None if self._is_billed else VALID_FOR
        if backlog.next_due is None:
            return longest
        due_in = (backlog.next_due - backlog.at) / MICROS
        return due_in if longest is None else min(due_in, longest)


class _SeenByPod:
    """Watches what a pod has ``seen`` of changes in ``store``, and the store if that is nothing."""

    def __init__(self, store: Store, seen: Callable[[], object]) -> None:
        self.traits = store.traits
        self._store = store
        self._seen = seen

    def change_counter(self) -> object:
        seen = self._seen()
        return self._store.change_counter() if seen is None else seen


def seen_by(pod: Pod | None, metrics: PodMetrics) -> object:
    """Return what ``pod``, which ``metrics`` counts, has seen of changes in the store: the change
    counter, and its own syncs. ``None`` if it need not look: it has left, or runs no functions."""
    if pod is None or pod.machine.phase not in ("up", "asleep") or metrics.is_by_hand:
        return None
    counter = pod.machine.change_counter
    return None if counter is None else (counter, metrics.syncs.sum)


def read_count(store: Store, settings: PodSettings) -> Count:
    """Count the steps in ``store`` now. Raises what the store raises."""
    stats = store.queue_stats(_WINDOW)
    waiting = [(each.queue, each.task_type) for each in stats.types if each.pending]
    dead_after = micros(settings.dead_pod_threshold)
    unserved = run(store, unserved_among(waiting, dead_after))
    return Count(store.backlog(), stats, frozenset(unserved))
