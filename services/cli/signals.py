"""What signals do to commands: end them between transactions or at once, or end what they serve."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Final

SIGNAL_CHECK_INTERVAL: Final = 0.5
"""Seconds. The system may deliver a signal to any thread, but Python runs its handler in the main
thread, which must therefore wake up from time to time."""

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(BaseException):
    """The command was ended by a signal; ``code`` is its exit code."""

    def __init__(self, number: int) -> None:
        super().__init__("interrupted" if number == signal.SIGINT else "terminated")
        self.code = 128 + number


@contextlib.contextmanager
def stopping_on_signal() -> Iterator[Callable[[], None]]:
    """Yield a function that waits for the first SIGINT, SIGTERM, SIGHUP or SIGQUIT. The second has
    its usual effect at once."""
    received: SimpleQueue[int] = SimpleQueue()  # its put may interrupt its get

    def wait() -> None:
        while True:
            with contextlib.suppress(Empty):
                received.get(timeout=SIGNAL_CHECK_INTERVAL)
                return

    with _handling((*_SIGNALS, signal.SIGQUIT), received.put):
        yield wait


@contextlib.contextmanager
def ending_between_transactions() -> Iterator[Callable[[], None]]:
    """Delay the first SIGINT, SIGTERM or SIGHUP while the body runs: the function yielded raises
    :class:`Ended` if one has arrived. The second has its usual effect at once."""
    received: list[int] = []

    def check() -> None:
        if received:
            raise Ended(received[0])

    with _handling(_SIGNALS, received.append):
        yield check


@contextlib.contextmanager
def ending_at_once() -> Iterator[None]:
    """Raise :class:`Ended` at SIGTERM and SIGHUP while the body runs, as Ctrl-C raises
    ``KeyboardInterrupt``, so that the body can clean up."""

    def end(number: int) -> None:
        raise Ended(number)

    with _handling((signal.SIGTERM, signal.SIGHUP), end):
        yield


@contextlib.contextmanager
def _handling(numbers: Sequence[int], on_signal: Callable[[int], None]) -> Iterator[None]:
    """Call ``on_signal`` with the first of these signals while the body runs; the second has its
    usual effect, unless the call has raised. Signals that are ignored stay ignored."""

    def handle(number: int, frame: FrameType | None) -> None:
        on_signal(number)
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    before = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # set by nohup, and by shells for background jobs
            signal.signal(number, handle)
    try:
        yield
    finally:
        restore()
