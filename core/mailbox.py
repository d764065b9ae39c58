"""How a request goes through a store's mailbox: it is posted, and polled until it is served."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any, Final

from fleet_q.core.calls import StoreCall

PATIENCE: Final = 6.0
"""After this many times the time that serving takes, the sender of an older request counts as dead.
So the second oldest serves after that time, the third oldest after twice that time, and never do
many wait for the lock to serve."""

POLL_GROWTH: Final = 1.5
"""Each interval between two polls is this many times the one before. If hundreds of requests wait,
polls at a fixed interval would take all slots of a warehouse, and those who serve none."""

LONGEST_GROWTH: Final = 5.0
"""The longest interval is this many times the second one."""

BUSY_FACTOR: Final = 4.0
"""A sender whose call took longer than one that waits for nothing waits this many times the excess
before its next call. So a warehouse that is short of slots is asked less often."""

LONGEST_WAIT: Final = 40.0
"""Seconds between two polls, at most. A request that was not served is posted again after a minute.
"""

Waiting = Callable[[float], Generator[Any, Any, None]]
"""Waits for so many seconds, and does what else is due before and meanwhile."""


def poll_intervals(first: float, second: float) -> Iterator[float]:
    """Seconds from posting to the first poll, and then between two polls."""
    yield first
    factor = 1.0
    while True:
        yield second * factor
        factor = min(factor * POLL_GROWTH, LONGEST_GROWTH)


def exchange(
    call: Callable[[bool], StoreCall],
    waiting: Waiting,
    *,
    intervals: Iterator[float],
    is_posted: bool,
    on_waits: Callable[[float], object],
    clock: Callable[[], float],
    shortest: float,
    longest_wait: float = LONGEST_WAIT,
) -> Generator[Any, Any, Any]:
    """Post a request, unless it ``is_posted``, and poll until it has been served. Return the
    result.

    ``call`` makes the call that posts or, if given true, polls. Whenever one has found that the
    request waits, ``on_waits`` is called with the seconds that it took. ``clock`` is monotonic, in
    seconds; ``shortest`` is how long a call takes that waits for nothing, ``longest_wait`` how long
    to wait between two polls at most. An error of a call ends the exchange; another one with
    ``is_posted`` continues it.
    """
    for interval in intervals:
        began = clock()
        result = yield call(is_posted)
        if result is not None:
            return result
        took = clock() - began
        on_waits(took)
        busy = min(BUSY_FACTOR * (took - shortest), longest_wait)
        yield from waiting(max(interval, busy))
        is_posted = True
