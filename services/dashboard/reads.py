"""Reads, what pages have read from a store, kept until something changes."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from fleet_q.core.ports import Store
from fleet_q.services.app.app import FleetQ

T = TypeVar("T")

MOST_KEPT: Final = 200
"""How many values are kept at most; the one that was used longest ago is dropped."""

LOOK_INTERVAL: Final = 1.0
"""Seconds between two looks for changes, on a store where a look is nearly free."""

SHARED_FOR: Final = 1.0
"""Seconds for which pages share a value on a store whose reads cost nothing: ages go on there."""


@dataclass
class _Value:
    value: Any
    counter: int
    read_at: float
    is_settled: bool


class Reads:
    """Reads of an app's store, through a connection of their own: a slow read holds up neither the
    pod nor other requests. ``clock`` is monotonic, in seconds."""

    def __init__(self, fleet: FleetQ, clock: Callable[[], float] = time.monotonic) -> None:
        self._fleet = fleet
        self._clock = clock
        self._lock = threading.Lock()
        self._own: FleetQ | None = None
        self._values: OrderedDict[Hashable, _Value] = OrderedDict()
        self._reading: dict[Hashable, threading.Lock] = {}
        self._counter: tuple[int, float] | None = None

    @property
    def fleet(self) -> FleetQ:
        """The app to read with. It shares the store of the other if it can be opened only once."""
        if self._fleet.url is None:
            return self._fleet
        with self._lock:
            if self._own is None:
                self._own = FleetQ(self._fleet.url, settings=self._fleet.settings)
                self._own.use(create=False)
            return self._own

    @property
    def store(self) -> Store:
        """The store to read from."""
        return self.fleet.store

    @property
    def is_billed(self) -> bool:
        """Whether reads cost money, so that values are kept until something changes."""
        return self.store.traits.writes_are_billed

    @property
    def interval(self) -> float:
        """Seconds between two looks for changes."""
        return self._fleet.settings.claim_interval if self.is_billed else LOOK_INTERVAL

    def look(self) -> int:
        """Read the change counter."""
        counter = self.store.change_counter()
        self._counter = (counter, self._clock())
        return counter

    def counter(self) -> int:
        """The change counter. On a store whose reads cost money it may be an interval old."""
        known = self._counter
        if known is not None and self.is_billed and self._clock() - known[1] < self.interval:
            return known[0]
        return self.look()

    def forget(self) -> None:
        """Read everything again: something was changed from here."""
        with self._lock:
            self._values.clear()
        self._counter = None

    def kept(self, key: Hashable, read: Callable[[], T], counter: int) -> tuple[T, float]:
        """What ``read()`` returned under ``key``, and how many seconds ago that was.

        It is called again if ``counter`` is another one; and once more an interval later, because
        another session may not see at once what was committed. On a store whose reads cost nothing
        it is called after a second anyway.
        """
        with self._lock:
            reading = self._reading.setdefault(key, threading.Lock())
        try:
            with reading:  # pages that are told of one change at the same time share one read
                return self._read(key, read, counter)
        finally:
            with self._lock:
                if self._reading.get(key) is reading:
                    del self._reading[key]

    def _read(self, key: Hashable, read: Callable[[], T], counter: int) -> tuple[T, float]:
        now = self._clock()
        entry = self._values.get(key)
        if entry is not None and self._is_valid(entry, counter, now):
            return entry.value, now - entry.read_at
        value = read()
        is_settled = entry is not None and entry.counter == counter
        with self._lock:
            self._values[key] = _Value(value, counter, now, is_settled)
            self._values.move_to_end(key)
            while len(self._values) > MOST_KEPT:
                self._values.popitem(last=False)
        return value, 0.0

    def _is_valid(self, entry: _Value, counter: int, now: float) -> bool:
        if entry.counter != counter:
            return False
        if not self.is_billed:
            return now - entry.read_at < SHARED_FOR
        return entry.is_settled or now - entry.read_at < self.interval
