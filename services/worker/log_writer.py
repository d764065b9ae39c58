"""Log lines are written by a background thread, so a slow reader does not block a logging call."""

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
"""The most bytes and lines that wait to be written; further lines are dropped and counted."""

FLUSH_WITHIN: Final = 1.0
"""Seconds that a process waits at exit for its log lines to be written."""

_RETRY_AFTER: Final = 0.05
"""Seconds between attempts to write to a non-blocking stream that is full."""


class LineHandler(logging.Handler):
    """Writes each record to ``stream`` as one line, with one ``write``.

    Logging neither blocks nor raises: a thread writes. While writing blocks, up to ``MOST_LINES``
    lines or ``MOST_BYTES`` bytes are queued and further lines are dropped. Lines that cannot be
    written, as on a full disk, are dropped as well. The number of dropped lines is written as soon
    as writing succeeds again.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._write = _writer(stream, self._encoding)
        self.reset()

    def reset(self) -> None:
        """Discard the queue and the thread, which belong to the parent process after a fork."""
        # A line and the number of lines dropped before it; an event to set; None to end the thread.
        self._queue: SimpleQueue[tuple[bytes, int] | threading.Event | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        # Pairs are numbers of lines and bytes. Calls of emit() set the first two, under the
        # handler's lock; the thread sets the other three.
        self._queued = (0, 0)
        self._dropped = 0
        self._written = (0, 0)
        self._reported = 0  # of the dropped ones
        self._failed = 0
        self._stuck_at: tuple[int, int] | None = None  # _written when a wait was in vain

    def handle(self, record: logging.LogRecord) -> bool:
        """Emit the record without holding the lock: formatting calls ``__str__`` of its arguments,
        which may take long, and would block other threads that log."""
        filtered: object = self.filter(record)
        if filtered:
            self.emit(filtered if isinstance(filtered, logging.LogRecord) else record)
        return bool(filtered)

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
        """Wait until every record so far is written, for up to ``FLUSH_WITHIN`` seconds. Returns
        at once if the last wait failed and nothing was written since."""
        if self._written != self._stuck_at:
            self.wait(FLUSH_WITHIN)

    def wait(self, timeout: float) -> bool:
        """Wait until every record so far is written, for up to ``timeout`` seconds. Returns
        whether they are."""
        written = threading.Event()
        self.acquire()  # or the thread might end before it takes the event
        try:
            if self._thread is None or self._thread is threading.current_thread():
                return True
            self._queue.put(written)
        finally:
            self.release()
        is_written = written.wait(timeout)
        self._stuck_at = None if is_written else self._written
        return is_written

    def close(self) -> None:
        """End the thread as soon as every record so far is written, without waiting for it. A later
        record starts another."""
        self.acquire()
        try:
            if self._thread is not None:
                self._queue.put(None)
        finally:
            self.release()
        super().close()

    def _has_thread(self) -> bool:
        if self._thread is None:
            thread = threading.Thread(target=self._work, name="fleet-q-logs", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # too many threads, or the interpreter is shutting down
                return False
            self._thread = thread
        return True

    def _work(self) -> None:
        queue = self._queue
        while True:
            item = queue.get()
            if item is None:
                if self._has_ended():
                    return
                continue
            if isinstance(item, threading.Event):
                self._report(self._dropped)
                item.set()
                continue
            line, dropped = item
            if not (self._report(dropped) and self._try(line)):
                self._failed += 1
            self._written = (self._written[0] + 1, self._written[1] + len(line))
            if queue.empty():
                self._report(self._dropped)

    def _has_ended(self) -> bool:
        """Forget the thread, which is this one, unless records arrived after :meth:`close`."""
        self.acquire()
        try:
            if self._queue.empty():
                self._thread = None
                return True
            self._queue.put(None)
            return False
        finally:
            self.release()

    def _report(self, dropped: int) -> bool:
        """Write the number of lines that are missing, if any. ``False`` if that fails."""
        missing = dropped - self._reported + self._failed
        if missing and not self._try(self._notice(missing)):
            return False
        self._reported, self._failed = dropped, 0
        return True

    def _try(self, line: bytes) -> bool:
        try:
            self._write(line)
        except Exception:  # a full disk, a broken pipe, a closed stream
            return False
        return True

    def _line(self, record: logging.LogRecord) -> bytes:
        try:
            return (self.format(record) + "\n").encode(self._encoding, "backslashreplace")
        except Exception:  # of a formatter, or of an unknown encoding
            return b"a log record could not be formatted\n"

    def _notice(self, missing: int) -> bytes:
        message = "%d log line(s) could not be written and were dropped"
        notice = logging.LogRecord(
            "fleet_q.logs", logging.WARNING, __file__, 0, message, (missing,), None
        )
        self.filter(notice)
        return self._line(notice)


def _writer(stream: TextIO, encoding: str) -> Callable[[bytes], object]:
    """A function that writes one line: to the stream's file descriptor if it has one."""
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
        self._ends_mid_line = False

    def write(self, line: bytes) -> None:
        rest = whole = memoryview(b"\n" + line if self._ends_mid_line else line)
        while rest:
            try:
                rest = rest[os.write(self._number, rest) :]
            except BlockingIOError:
                time.sleep(_RETRY_AFTER)
            except OSError:
                # Part of the line may be on the disk: the next write begins with a line break.
                self._ends_mid_line |= len(rest) < len(whole)
                raise
        self._ends_mid_line = False
