"""Commands that are ended by a signal between two transactions, so that they can say how far they
came."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(BaseException):
    """A signal asked the command to end."""

    def __init__(self, number: int) -> None:
        super().__init__("interrupted" if number == signal.SIGINT else "terminated")
        self.code = 128 + number


@contextlib.contextmanager
def ending_between_transactions() -> Iterator[Callable[[], None]]:
    """While the body runs, the first signal is acted upon where the function given is called, by
    raising :class:`Ended`; the second at once."""
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
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
        if handler is not signal.SIG_IGN:  # as nohup and a shell's background jobs have it
            signal.signal(number, note)
    try:
        yield check
    finally:
        restore()
