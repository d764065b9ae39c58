"""What signals do to a pod's process, whatever its functions do.

No function must keep a signal from the pod, nor the process from ending once its pod has left. So
the handlers only note the signal down, which is safe whatever they interrupt, and threads do the
rest.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Any, Final, NoReturn

from fleet_q.services.worker import logs
from fleet_q.services.worker.careful_log import CarefulLogger
from fleet_q.services.worker.pod_thread import Pod

log = CarefulLogger("fleet_q.process")

STOP_AT_ONCE: Final = 3.0
"""Seconds that a pod has to hand its steps back after a second signal."""

LEAVE_WITHIN: Final = 5.0
"""Seconds that the process has to end after its pod has: HTTP takes up to 3 of them to answer what
it has begun to, and async functions 2 to clean up."""

_DRAIN: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)

_handlers_before: Final[dict[int, Any]] = {}
"""The handlers that stand aside for the pod's; a forked process has no pod and takes them back."""


@contextlib.contextmanager
def ending_with_its_pod() -> Iterator[Callable[[Pod], None]]:
    """While the body runs, the process can be stopped through its pod; the main thread's.

    Gives the function that says which pod that is. From then on the first of the signals that ask
    a process to end drains the pod, the second makes it release all and go. A signal that is
    ignored stays so, as ``nohup`` wants. Once the pod has ended, the process ends within
    ``LEAVE_WITHIN``, whatever threads and exit handlers its functions have left behind.
    """
    received: SimpleQueue[int] = SimpleQueue()
    before = {number: signal.getsignal(number) for number in _DRAIN}
    ours = [number for number in before if before[number] is not signal.SIG_IGN]

    def govern(pod: Pod) -> None:
        for number in ours:
            _handlers_before[number] = before[number]
            signal.signal(number, lambda number, _: received.put(number))
        threading.Thread(target=_obey, args=(pod, received), daemon=True).start()
        threading.Thread(target=_watch, args=(pod,), daemon=True).start()

    try:
        yield govern
    finally:
        for number in ours:
            signal.signal(number, before[number])
        _handlers_before.clear()


def _restore_handlers() -> None:
    for number, handler in _handlers_before.items():
        signal.signal(number, handler)
    _handlers_before.clear()


os.register_at_fork(after_in_child=_restore_handlers)


def _obey(pod: Pod, received: SimpleQueue[int]) -> None:
    name = signal.Signals(received.get()).name
    log.info("%s: finishing what runs; once more to stop at once", name)
    pod.drain()
    number = _next(received, time.monotonic() + pod.grace + LEAVE_WITHIN)
    if number is None:
        if not pod.ended.is_set():
            _exit(1, "the pod does not end within its grace: leaving")
        return
    log.warning("%s again: stopping at once", signal.Signals(number).name)
    pod.drain(0)
    time.sleep(STOP_AT_ONCE)
    _exit(0 if _has_left(pod) else 128 + number, "stopping at once: leaving what does not end")


def _next(received: SimpleQueue[int], until: float) -> int | None:
    """The next signal by which somebody asks again. SIGHUP is sent by the system or a shell, and
    often more than once, or after SIGTERM."""
    while True:
        try:
            number = received.get(timeout=max(0, until - time.monotonic()))
        except Empty:
            return None
        if number != signal.SIGHUP:
            return number


def _watch(pod: Pod) -> None:
    pod.ended.wait()
    time.sleep(LEAVE_WITHIN)
    code = 0 if _has_left(pod) else 1
    _exit(code, "the pod has ended; leaving threads or exit handlers behind that do not")


def _has_left(pod: Pod) -> bool:
    return pod.ended.is_set() and pod.error is None


def _exit(code: int, message: str) -> NoReturn:
    log.warning("%s", message)
    logs.flush()
    os._exit(code)
