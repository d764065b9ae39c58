"""Run a background program of the leader, one store call at a time, between other work."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import Any, Final

from fleet_q.core.calls import Calls, StoreCall

MAX_STORE_SHARE: Final = 0.2
"""The largest share of time in which a cycle that pauses keeps the store busy; the rest is left to
the fleet."""

MAX_PAUSE: Final = 1.0
"""Seconds of a pause, at most. Stores on which batches are slow queue for locks in order, so longer
pauses would not help other writers."""


class Cycle:
    """Advances ``program`` one store call at a time.

    Where the program yields ``None``, it pauses for a time that is proportional to the time its
    calls took since the last pause. ``next_at`` is the time, in seconds on ``clock``, at which the
    next call is due; infinity once the program has ended.
    """

    def __init__(
        self, program: Generator[StoreCall | None, Any, object], clock: Callable[[], float]
    ) -> None:
        self.next_at = clock()
        self.result: object = None
        """What the program has returned, once it has."""
        self._program = program
        self._clock = clock
        self._call: StoreCall | None = None
        self._took = 0.0

    @property
    def is_over(self) -> bool:
        """Whether the program has ended."""
        return self.next_at == math.inf

    def go_on(self) -> Calls[None]:
        """Execute the next call. An error that the program raises ends it and is raised here."""
        began = self._clock()
        try:
            call = next(self._program) if self._call is None else self._call
            if call is not None:
                try:
                    result = yield call
                except BaseException as error:
                    self._call = self._program.throw(error)
                else:
                    self._call = self._program.send(result)
        except BaseException as error:
            self.next_at = math.inf
            if not isinstance(error, StopIteration):
                raise
            self.result = error.value
            return
        self.next_at = now = self._clock()
        self._took += now - began
        if self._call is None:
            self.next_at += pause(self._took)
            self._took = 0.0

    def close(self) -> None:
        """End the program at its current call."""
        self.next_at = math.inf
        self._program.close()


def pause(took: float) -> float:
    """Seconds to pause after store calls that took ``took`` seconds."""
    return min(took * (1 / MAX_STORE_SHARE - 1), MAX_PAUSE)
