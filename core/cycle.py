"""A program that goes on beside other work, one call of the store at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import Any, Final

from fleet_q.core.calls import Calls, StoreCall

MOST_OF_THE_TIME: Final = 0.2
"""The part of the time in which a cycle that pauses may keep the store busy; the rest is the
fleet's."""

LONGEST_PAUSE: Final = 1.0
"""Seconds; where a batch takes long, others wait for a lock in turn and are not passed over."""


class Cycle:
    """Takes ``program`` further, call by call. Where the program yields ``None``, it pauses, the
    longer the more time its calls took since the last pause. ``next_at`` is when the next call is
    due on ``clock``, in seconds; infinity when the program is over.
    """

    def __init__(
        self, program: Generator[StoreCall | None, Any, None], clock: Callable[[], float]
    ) -> None:
        self.next_at = clock()
        self._program = program
        self._clock = clock
        self._call: StoreCall | None = None
        self._took = 0.0

    @property
    def is_over(self) -> bool:
        """Whether the program has ended."""
        return self.next_at == math.inf

    def go_on(self) -> Calls[None]:
        """The next call. Raises what the program raises, which ends it."""
        began = self._clock()
        try:
            call = next(self._program) if self._call is None else self._call
            if call is not None:
                try:
                    answer = yield call
                except BaseException as error:
                    self._call = self._program.throw(error)
                else:
                    self._call = self._program.send(answer)
        except BaseException as error:
            self.next_at = math.inf
            if not isinstance(error, StopIteration):
                raise
            return
        self.next_at = now = self._clock()
        self._took += now - began
        if self._call is None:
            self.next_at += pause(self._took)
            self._took = 0.0

    def close(self) -> None:
        """End the program where it is."""
        self.next_at = math.inf
        self._program.close()


def pause(took: float) -> float:
    """Seconds to leave the store alone after calls that took so many."""
    return min(took * (1 / MOST_OF_THE_TIME - 1), LONGEST_PAUSE)
