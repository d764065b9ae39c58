"""Lets a command finish its transaction after a signal, so that it can report what it has done."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(BaseException):
    """The command was ended by a signal; ``code`` is its exit code."""

    def __init__(self, number: int) -> None:
        super().__init__("interrupted" if number == signal.SIGINT else "terminated")
        self.code = 128 + number


@contextlib.contextmanager
def ending_between_transactions() -> Iterator[Callable[[], None]]:
    """Delay the first SIGINT, SIGTERM or SIGHUP while the body runs: the function yielded raises
    :class:`Ended` if one has arrived. The second has its usual effect at once."""
    received: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        received.append(number)
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def check() -> None:
        if received:
            raise Ended(received[0])

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # set by nohup, and by shells for background jobs
            signal.signal(number, on_signal)
    try:
        yield check
    finally:
        restore()
