"""Signals that drain or stop a pod, and the end of its process.

A function can neither keep a signal from the pod nor keep the process alive after its pod has left.
The signal handlers only put the signal into a queue, which is safe whatever code they interrupt;
threads read the queue.
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
"""Seconds that a pod has to release its steps after a second signal."""

LEAVE_WITHIN: Final = 5.0
"""Seconds between the end of the pod and the end of its process: up to 3 for HTTP requests in
progress, and 2 for the cleanup of async functions."""

_DRAIN: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)

_handlers_before: Final[dict[int, Any]] = {}
"""Replaced handlers, by signal. A forked process has no pod and restores them."""


@contextlib.contextmanager
def ending_with_its_pod() -> Iterator[Callable[[Pod], None]]:
    """A context manager that stops the process through its pod. For the main thread.

    It yields a function that takes the pod. From that call on, the first SIGTERM, SIGINT, SIGHUP
    or SIGQUIT drains the pod; a second one makes it release its steps and leave at once. A signal
    that is ignored stays ignored, as ``nohup`` needs. The process exits ``LEAVE_WITHIN`` seconds
    after the pod has ended, whatever threads and exit handlers the functions have left.
    """
    received: SimpleQueue[int] = SimpleQueue()
    before = {number: signal.getsignal(number) for number in _DRAIN}
    handled = [number for number in before if before[number] is not signal.SIG_IGN]

    def set_pod(pod: Pod) -> None:
        for number in handled:
            _handlers_before[number] = before[number]
            signal.signal(number, lambda number, _: received.put(number))
        threading.Thread(target=_drain_on_signal, args=(pod, received), daemon=True).start()
        threading.Thread(target=_exit_after, args=(pod,), daemon=True).start()

    try:
        yield set_pod
    finally:
        for number in handled:
            signal.signal(number, before[number])
        _handlers_before.clear()


def _restore_handlers() -> None:
    for number, handler in _handlers_before.items():
        signal.signal(number, handler)
    _handlers_before.clear()


os.register_at_fork(after_in_child=_restore_handlers)


def _drain_on_signal(pod: Pod, received: SimpleQueue[int]) -> None:
    name = signal.Signals(received.get()).name
    log.info("%s: waiting for the running functions; send it again to stop at once", name)
    pod.drain()
    number = _next(received, time.monotonic() + pod.grace + LEAVE_WITHIN)
    if number is None:
        if not pod.ended.is_set():
            _exit(1, "the pod has not ended within its grace: exiting")
        return
    log.warning("%s again: stopping at once", signal.Signals(number).name)
    pod.drain(0)
    time.sleep(STOP_AT_ONCE)
    _exit(0 if _has_left(pod) else 128 + number, "exiting without waiting for the pod")


def _next(received: SimpleQueue[int], until: float) -> int | None:
    """The next signal other than SIGHUP, or ``None`` after the time ``until``. A system or a shell
    sends SIGHUP by itself, often repeatedly or after SIGTERM."""
    while True:
        try:
            number = received.get(timeout=max(0, until - time.monotonic()))
        except Empty:
            return None
        if number != signal.SIGHUP:
            return number


def _exit_after(pod: Pod) -> None:
    pod.ended.wait()
    time.sleep(LEAVE_WITHIN)
    code = 0 if _has_left(pod) else 1
    _exit(code, "the pod has ended: exiting without waiting for threads and exit handlers")


def _has_left(pod: Pod) -> bool:
    return pod.ended.is_set() and pod.error is None


def _exit(code: int, message: str) -> NoReturn:
    log.warning("%s", message)
    logs.flush()
    os._exit(code)
