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
from collections.abc import Iterator, Mapping
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


class Stopping:
    """How signals stop the process through its pod. ``second_signal``: the number of the signal
    that made the pod leave at once; ``None`` if none did."""

    def __init__(self, before: Mapping[signal.Signals, Any]) -> None:
        self.second_signal: int | None = None
        self._before = before

    def govern(self, pod: Pod) -> None:
        """Let signals stop this pod from now on."""
        received: SimpleQueue[int] = SimpleQueue()
        for number, handler in self._before.items():
            _handlers_before[number] = handler
            signal.signal(number, lambda number, _: received.put(number))
        threading.Thread(target=self._drain_on_signal, args=(pod, received), daemon=True).start()
        threading.Thread(target=self._exit_after, args=(pod,), daemon=True).start()

    def _drain_on_signal(self, pod: Pod, received: SimpleQueue[int]) -> None:
        name = signal.Signals(received.get()).name
        log.info("%s: waiting for the running functions; send it again to stop at once", name)
        pod.drain()
        number = _next(received, time.monotonic() + pod.grace + LEAVE_WITHIN)
        if number is None:
            if not pod.ended.is_set():
                _exit(1, "the pod has not ended within its grace: exiting")
            return
        self.second_signal = number
        log.warning("%s again: stopping at once", signal.Signals(number).name)
        pod.drain(0)
        time.sleep(STOP_AT_ONCE)
        _exit(self._exit_code(pod), "exiting without waiting for the pod")

    def _exit_after(self, pod: Pod) -> None:
        pod.ended.wait()
        time.sleep(LEAVE_WITHIN)
        code = self._exit_code(pod)
        _exit(code, "the pod has ended: exiting without waiting for threads and exit handlers")

    def _exit_code(self, pod: Pod) -> int:
        if self.second_signal is not None:
            return 128 + self.second_signal
        return 0 if pod.ended.is_set() and pod.error is None else 1


@contextlib.contextmanager
def ending_with_its_pod() -> Iterator[Stopping]:
    """A context manager that stops the process through its pod. For the main thread.

    It yields an object that is given the pod. From then on, the first SIGTERM, SIGINT, SIGHUP or
    SIGQUIT drains the pod; a second one makes it release its steps and leave at once. A signal
    that is ignored stays ignored, as ``nohup`` needs. The process exits ``LEAVE_WITHIN`` seconds
    after the pod has ended, whatever threads and exit handlers the functions have left.
    """
    before = {number: signal.getsignal(number) for number in _DRAIN}
    handled = {number: before[number] for number in before if before[number] is not signal.SIG_IGN}
    try:
        yield Stopping(handled)
    finally:
        for number in handled:
            signal.signal(number, before[number])
        _handlers_before.clear()


def _restore_handlers() -> None:
    for number, handler in _handlers_before.items():
        signal.signal(number, handler)
    _handlers_before.clear()


os.register_at_fork(after_in_child=_restore_handlers)


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


def _exit(code: int, message: str) -> NoReturn:
    log.warning("%s", message)
    logs.flush()
    os._exit(code)
