"""What signals do to a pod's process, whatever its event loop is busy with.

A function that blocks the loop must not keep a signal from the pod, nor the process from ending
once its pod has left. So the handlers only note the signal down, which is safe whatever they
interrupt, and threads do the rest.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Final

from fleet_q.services import logs
from fleet_q.services.careful_log import CarefulLogger
from fleet_q.services.pod import Pod

log = CarefulLogger("fleet_q.process")

STOP_AT_ONCE: Final = 3.0
"""Seconds that a pod has to hand its steps back after a second signal."""

LEAVE_WITHIN: Final = 5.0
"""Seconds that the process has to end after its pod has: HTTP takes up to 3 of them to answer what
it has begun to."""


@contextlib.contextmanager
def ending_with_its_pod() -> Iterator[Callable[[Pod], None]]:
    """While the body runs, the process can be stopped through its pod; the main thread's.

    Gives the function that says which pod that is. From then on the first SIGTERM or SIGINT drains
    it, the second makes it release all and go. If the body goes on after the pod has ended, the
    process is ended from within it.
    """
    received: SimpleQueue[int] = SimpleQueue()
    returned = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def govern(pod: Pod) -> None:
        for number in before:
            signal.signal(number, lambda number, _: received.put(number))
        for work in (_obey, _watch):
            threading.Thread(target=work, args=(pod, received, returned), daemon=True).start()

    try:
        yield govern
    finally:
        returned.set()
        for number, handler in before.items():
            signal.signal(number, handler)


def _obey(pod: Pod, received: SimpleQueue[int], returned: threading.Event) -> None:
    name = signal.Signals(received.get()).name
    log.info("%s: finishing what runs; once more to stop at once", name)
    pod.drain()
    number = received.get()
    log.warning("%s again: stopping at once", signal.Signals(number).name)
    pod.drain(0)
    if not returned.wait(STOP_AT_ONCE):
        logs.flush()
        os._exit(128 + number)


def _watch(pod: Pod, received: SimpleQueue[int], returned: threading.Event) -> None:
    pod.ended.wait()
    if not returned.wait(LEAVE_WITHIN):
        log.error("the pod has ended, and a function that cannot be stopped goes on: leaving it")
        logs.flush()
        os._exit(1)
