"""A limit for the time in which the rows of a result arrive."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final, TypeVar

T = TypeVar("T")

FETCH_TIMEOUT: Final = 20.0
"""Seconds that a pod waits for the rows of a result. Large ones come from the cloud's storage, for
which the connector has no limit that can be set: 4.x tries ten times, for two minutes and more. A
pod must try again, and do what else is due, well before it counts as dead."""


def within(seconds: float, fetch: Callable[[], T]) -> T:
    """Return what ``fetch`` returns. Raises ``TimeoutError`` if it does not within so many seconds:
    then it goes on in a thread of its own, which does not keep the process alive."""
    ended: SimpleQueue[tuple[bool, T | BaseException]] = SimpleQueue()

    def run() -> None:
        try:
            ended.put((True, fetch()))
        except BaseException as error:
            ended.put((False, error))

    threading.Thread(target=run, name="fleet-q-fetch", daemon=True).start()
    try:
        has_returned, outcome = ended.get(timeout=seconds)
    except Empty:
        raise TimeoutError(
            f"the rows of a result have not arrived within {seconds:g} s: let this machine reach"
            " the STAGE hosts that SELECT SYSTEM$ALLOWLIST() names"
        ) from None
    if not has_returned:
        assert isinstance(outcome, BaseException)
        raise outcome
    return outcome  # type: ignore[return-value]
