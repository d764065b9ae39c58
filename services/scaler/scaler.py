"""Scaler, which tells how many pods a fleet needs, and reads the store as rarely as it can."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from fleet_q.core.capacity import slots
from fleet_q.core.ports import Backlog, Store
from fleet_q.core.retry import MICROS
from fleet_q.core.scaling import wanted_pods
from fleet_q.core.settings import PodSettings


@dataclass(frozen=True)
class Demand:
    """What a fleet has to do. All times are in seconds.

    - ``pending``: the steps that wait, of which ``claimable`` are due; ``claimed``: those that pods
      hold.
    - ``oldest_age``: for how long the oldest claimable step has waited; 0 if there is none.
    - ``next_due_in``: until the next delayed step or retry becomes due; ``None`` if there is none.
    - ``wanted_pods``: the number of pods that run the claimable and claimed steps at once.
    """

    pending: int
    claimable: int
    claimed: int
    oldest_age: float
    next_due_in: float | None
    wanted_pods: int


class Scaler:
    """Tells the demand of a fleet whose pods have these ``settings``. Any thread may use it.

    It reads the change counter, which wakes no warehouse, at most once per ``poll_interval`` of the
    store, or per claim interval. It counts steps only if the counter has changed, or a step has
    become due since it counted; and once more a claim interval after a change, because another
    session may not see at once what was committed. ``least`` and ``most`` bound the number of pods.
    ``clock`` is monotonic, in seconds.
    """

    def __init__(
        self,
        store: Store,
        settings: PodSettings,
        *,
        least: int = 0,
        most: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._slots = slots(settings.max_parallelism, settings.capacity_threshold)
        self._least = least
        self._most = most
        self._clock = clock
        self._claim_interval = settings.claim_interval
        self._poll_interval = store.traits.poll_interval or settings.claim_interval
        self._lock = threading.Lock()
        self._change_counter: int | None = None
        self._backlog: Backlog | None = None
        self._counted_at = 0.0
        self._next_poll = 0.0
        self._count_again_at: float | None = None

    def demand(self) -> Demand:
        """Return what the fleet has to do now. Raises what the store raises."""
        with self._lock:
            backlog = self._current()
            elapsed = self._clock() - self._counted_at
        due_in = None
        if backlog.next_due is not None:
            due_in = max(0.0, (backlog.next_due - backlog.at) / MICROS - elapsed)
        age = 0.0
        if backlog.oldest is not None:
            age = max(0.0, (backlog.at - backlog.oldest) / MICROS + elapsed)
        return Demand(
            pending=backlog.pending,
            claimable=backlog.claimable,
            claimed=backlog.claimed,
            oldest_age=round(age, 3),
            next_due_in=None if due_in is None else round(due_in, 3),
            wanted_pods=wanted_pods(
                backlog.claimable + backlog.claimed,
                self._slots,
                due_in=due_in,
                least=self._least,
                most=self._most,
            ),
        )

    def _current(self) -> Backlog:
        now = self._clock()
        if self._backlog is not None and now < self._next_poll:
            return self._backlog
        change_counter = self._store.change_counter()  # first: later changes show as a new one
        has_changed = change_counter != self._change_counter
        if self._backlog is None or has_changed or self._must_count(self._backlog, now):
            self._backlog = self._store.backlog()
            self._counted_at = self._clock()
            self._change_counter = change_counter
            if has_changed:
                self._count_again_at = now + self._claim_interval
            elif self._count_again_at is not None and now >= self._count_again_at:
                self._count_again_at = None
        self._next_poll = now + self._poll_interval
        return self._backlog

    def _must_count(self, backlog: Backlog, now: float) -> bool:
        """Whether to count although the change counter has not changed."""
        if self._count_again_at is not None and now >= self._count_again_at:
            return True
        if backlog.next_due is None:
            return False
        return now >= self._counted_at + (backlog.next_due - backlog.at) / MICROS
