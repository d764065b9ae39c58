"""A logger that neither blocks nor raises, whatever the log handlers do."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from queue import SimpleQueue
from typing import Any, Final

from fleet_q.services.worker.log_writer import FLUSH_WITHIN, LineHandler

MOST_WAITING: Final = 10_000
"""The most records that wait for handlers; further ones are dropped."""


class CarefulLogger(logging.LoggerAdapter[logging.Logger]):
    """The logger ``name``, but a call neither waits for a handler nor raises what it raises. A pod
    can run in a service whose handlers it does not know."""

    def __init__(self, name: str) -> None:
        super().__init__(_Relayed(logging.getLogger(name)), {})

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        """Return the message and the arguments unchanged."""
        return msg, kwargs

    def log(self, level: int, msg: Any, *args: Any, **kwargs: Any) -> None:
        """Log without waiting and without raising."""
        with contextlib.suppress(BaseException):
            kwargs.setdefault("stacklevel", 2)  # records name the caller's line, not this one
            super().log(level, msg, *args, **kwargs)


class _Relayed(logging.Logger):
    """Makes records for another logger. Its handlers are called in the relay's thread, or directly
    if all of them are ``LineHandler``, which does not block."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__(logger.name)
        self._logger = logger

    def isEnabledFor(self, level: int) -> bool:
        return self._logger.isEnabledFor(level)

    def handle(self, record: logging.LogRecord) -> None:
        handlers = _handlers_of(self._logger)
        # Without handlers, logging writes to stderr, which blocks while a pipe is full.
        if handlers and all(isinstance(handler, LineHandler) for handler in handlers):
            self._logger.handle(record)
        else:
            _relay.put(self._logger, record)


class _Relay:
    """Calls handlers in its own thread."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[tuple[logging.Logger, logging.LogRecord] | threading.Event] = (
            SimpleQueue()
        )
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def put(self, logger: logging.Logger, record: logging.LogRecord) -> None:
        if self._queue.qsize() < MOST_WAITING:
            self._start()
            self._queue.put((logger, record))

    def wait(self, timeout: float) -> bool:
        if self._thread is None or self._thread is threading.current_thread():
            return True
        handled = threading.Event()
        self._queue.put(handled)
        return handled.wait(timeout)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="fleet-q-relay", daemon=True)
                thread.start()
                self._thread = thread

    def _work(self) -> None:
        while True:
            item = self._queue.get()
            with contextlib.suppress(BaseException):
                if isinstance(item, threading.Event):
                    item.set()
                else:
                    item[0].handle(item[1])


_relay = _Relay()


def wait_for_handlers(timeout: float = FLUSH_WITHIN) -> bool:
    """Wait until handlers were called with every record so far, for up to ``timeout`` seconds.
    Returns whether they were."""
    return _relay.wait(timeout)


def _after_fork() -> None:
    global _relay
    _relay = _Relay()


os.register_at_fork(after_in_child=_after_fork)


def _handlers_of(logger: logging.Logger) -> list[logging.Handler]:
    handlers: list[logging.Handler] = []
    current: logging.Logger | None = logger
    while current is not None:
        handlers += current.handlers
        current = current.parent if current.propagate else None
    return handlers
