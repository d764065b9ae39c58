"""ReadOnChange, which reads something from a store again only after a change."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from fleet_q.core.ports import StoreTraits

T = TypeVar("T")


class Watched(Protocol):
    """What a :class:`ReadOnChange` watches: a store, or what else knows of its changes."""

    @property
    def traits(self) -> StoreTraits:
        """The properties of the store."""

    def change_counter(self) -> object:
        """Return something else than before if something may have changed."""


class ReadOnChange(Generic[T]):
    """Keeps what ``read()`` returned, and calls it again only if something may have changed.

    It reads the change counter of ``store``, which wakes no warehouse, at most once per
    ``poll_interval`` of the store, or per ``interval`` seconds. ``read`` is called only if the
    counter has changed, or ``valid_for(value)`` seconds have passed since; and once more
    ``interval`` seconds after a change, because another session may not see at once what was
    committed. ``clock`` is monotonic, in seconds.
    """

    def __init__(
        self,
        store: Watched,
        read: Callable[[], T],
        interval: float,
        valid_for: Callable[[T], float | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._read = read
        self._interval = interval
        self._valid_for = valid_for
        self._clock = clock
        self._poll_interval = store.traits.poll_interval or interval
        self._kept: tuple[T] | None = None
        self._change_counter: object = None
        self._read_at = 0.0
        self._next_poll = 0.0
        self._read_again_at: float | None = None

    def current(self) -> tuple[T, float]:
        """Return what was read last, and how many seconds ago. Raises what the store raises."""
        kept, now = self._kept, self._clock()
        if kept is None or now >= self._next_poll:
            kept = self._poll(now)
        return kept[0], self._clock() - self._read_at

    def _poll(self, now: float) -> tuple[T]:
        change_counter = self._store.change_counter()  # first: later changes show as a new one
        has_changed = change_counter != self._change_counter
        kept = self._kept
        if kept is None or has_changed or self._must_read(kept[0], now):
            kept = self._kept = (self._read(),)
            self._read_at = self._clock()
            self._change_counter = change_counter
            if has_changed:
                self._read_again_at = now + self._interval
            elif self._read_again_at is not None and now >= self._read_again_at:
                self._read_again_at = None
        self._next_poll = now + self._poll_interval
        return kept

    def _must_read(self, value: T, now: float) -> bool:
        """Whether to read although the change counter has not changed."""
        if self._read_again_at is not None and now >= self._read_again_at:
            return True
        valid_for = self._valid_for(value)
        return valid_for is not None and now >= self._read_at + valid_for
