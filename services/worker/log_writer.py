"""Writing log lines in a thread of its own, so that whoever logs never waits for who reads."""

from __future__ import annotations

import io
import logging
import os
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final, TextIO

MOST_BYTES: Final = 8 * 1024 * 1024
MOST_LINES: Final = 20_000
"""What waits to be written, at most; further lines are dropped and counted."""

FLUSH_WITHIN: Final = 1.0
"""Seconds that a process waits at its end for lines to be written."""

_PAUSE: Final = 0.05
"""Seconds between tries to write to a stream that somebody has made non-blocking."""


class LineHandler(logging.Handler):
    """Writes every record to ``stream`` as one line, each with a ``write`` of its own.

    Logging neither blocks nor raises: a thread writes. While nothing can be written, because
    nobody reads the pipe or the disk is full, lines are kept up to a limit; how many were dropped
    is written as soon as lines can be again.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._write = _writer(stream, self._encoding)
        self.forget()

    def forget(self) -> None:
        """Begin with nothing queued and no thread: after a fork these are the parent's."""
        self._queue: SimpleQueue[tuple[bytes, int] | threading.Event] = SimpleQueue()
        self._thread: threading.Thread | None = None
        # The first two are written by who logs, under the handler's lock, the others by the thread.
        self._queued = (0, 0)
        self._dropped = 0
        self._written = (0, 0)
        self._told = 0
        self._failed = 0
        self._stuck_at: tuple[int, int] | None = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Format the record before the lock is taken: that may take long, as it calls ``__str__``
        of what the record holds, and others who log would wait."""
        kept: object = self.filter(record)
        if kept:
            self.emit(kept if isinstance(kept, logging.LogRecord) else record)
        return bool(kept)

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the record's line, or drop it if too much is queued."""
        line = self._line(record)
        self.acquire()
        try:
            self._put(line)
        finally:
            self.release()

    def _put(self, line: bytes) -> None:
        lines = self._queued[0] - self._written[0]
        size = self._queued[1] - self._written[1]
        if lines >= MOST_LINES or (lines > 0 and size + len(line) > MOST_BYTES):
            self._dropped += 1
            return
        if not self._has_thread():
            self._try(line)
            return
        self._queued = (self._queued[0] + 1, self._queued[1] + len(line))
        self._queue.put((line, self._dropped))

    def flush(self) -> None:
        """Wait until what was logged is written, for a limited time; but not once more for what
        was waited for in vain."""
        if self._written != self._stuck_at:
            self.wait(FLUSH_WITHIN)

    def wait(self, timeout: float) -> bool:
        """Wait until what was logged is written, ``timeout`` seconds at most; whether it is."""
        if self._thread is None or self._thread is threading.current_thread():
            return True
        reached = threading.Event()
        self._queue.put(reached)
        is_written = reached.wait(timeout)
        self._stuck_at = None if is_written else self._written
        return is_written

    def _has_thread(self) -> bool:
        if self._thread is None:
            thread = threading.Thread(target=self._work, name="fleet-q-logs", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # there are too many threads, or the interpreter is ending
                return False
            self._thread = thread
        return True

    def _work(self) -> None:
        queue = self._queue
        while True:
            item = queue.get()
            if isinstance(item, threading.Event):
                self._tell(self._dropped)
                item.set()
                continue
            line, dropped = item
            if not (self._tell(dropped) and self._try(line)):
                self._failed += 1
            self._written = (self._written[0] + 1, self._written[1] + len(line))
            if queue.empty():
                self._tell(self._dropped)

    def _tell(self, dropped: int) -> bool:
        """Write how many lines are missing so far, if any; false if that cannot be written."""
        missing = dropped - self._told + self._failed
        if missing and not self._try(self._notice(missing)):
            return False
        self._told, self._failed = dropped, 0
        return True

    def _try(self, line: bytes) -> bool:
        try:
            self._write(line)
        except Exception:  # no room on the disk, a reader that has gone, a stream that is closed
            return False
        return True

    def _line(self, record: logging.LogRecord) -> bytes:
        try:
            return (self.format(record) + "\n").encode(self._encoding, "backslashreplace")
        except Exception:  # a formatter does what it can; something has to come out all the same
            return b"a log record cannot be shown\n"

    def _notice(self, missing: int) -> bytes:
        message = "%d log line(s) could not be written and were dropped"
        notice = logging.LogRecord(
            "fleet_q.logs", logging.WARNING, __file__, 0, message, (missing,), None
        )
        self.filter(notice)
        return self._line(notice)


def _writer(stream: TextIO, encoding: str) -> Callable[[bytes], object]:
    """Writes whole lines, to the stream's file descriptor if it has one."""
    try:
        return _Descriptor(stream.fileno()).write
    except (OSError, ValueError, AttributeError, io.UnsupportedOperation):
        pass

    def write(line: bytes) -> None:
        stream.write(line.decode(encoding))
        stream.flush()

    return write


class _Descriptor:
    def __init__(self, number: int) -> None:
        self._number = number
        self._is_torn = False

    def write(self, line: bytes) -> None:
        rest = whole = memoryview(b"\n" + line if self._is_torn else line)
        while rest:
            try:
                rest = rest[os.write(self._number, rest) :]
            except BlockingIOError:
                time.sleep(_PAUSE)
            except OSError:
                # What the disk had room for is the beginning of a line; the next begins anew.
                self._is_torn |= len(rest) < len(whole)
                raise
        self._is_torn = False
