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
from fleet_q.services.app.on_change import ReadOnChange


@dataclass(frozen=True)
class Demand:
    """What a fleet has to do. All times are in seconds.

    - ``pending``: the steps that wait, of which ``claimable`` are due and may be claimed within the
      limits of their queues; ``claimed``: those that pods hold.
    - ``oldest_age``: for how long the oldest claimable step has waited; 0 if there is none.
    - ``next_due_in``: until the next delayed step or retry becomes due, or the rate of a queue
      allows one more claim; ``None`` if there is none.
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

    It counts steps only if the change counter of the store has changed, or a step has become due
    since it counted: see :class:`ReadOnChange`. ``least`` and ``most`` bound the number of pods.
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
        self._slots = slots(settings.max_parallelism, settings.capacity_threshold)
        self._least = least
        self._most = most
        self._lock = threading.Lock()
        self._backlog = ReadOnChange(
            store, store.backlog, settings.claim_interval, _seconds_until_due, clock
        )

    def demand(self) -> Demand:
        """Return what the fleet has to do now. Raises what the store raises."""
        with self._lock:
            backlog, elapsed = self._backlog.current()
        due_in = _seconds_until_due(backlog)
        if due_in is not None:
            due_in = max(0.0, due_in - elapsed)
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


def _seconds_until_due(backlog: Backlog) -> float | None:
    """From the time of the count on."""
    return None if backlog.next_due is None else (backlog.next_due - backlog.at) / MICROS
