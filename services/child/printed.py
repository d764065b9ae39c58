"""What functions in a child process print becomes records of the pod's log, with their step."""

from __future__ import annotations

import io
import logging
import sys
import threading
from typing import BinaryIO, Final, TextIO

LONGEST: Final = 64 * 1024
"""Characters without a line break after which a record is made of them."""


class PrintedLines(io.TextIOBase):
    """Makes a record of ``level`` of each line, in the logger ``name``.

    What is written while a record is handled goes to ``stream``, whose descriptor is also what
    other programs inherit.
    """

    def __init__(self, stream: TextIO, name: str, level: int) -> None:
        self.stream = stream
        self._logger = logging.getLogger(name)
        self._level = level
        self._lock = threading.Lock()
        self._rest = ""
        self._handling = threading.local()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.stream.encoding

    @property
    def buffer(self) -> BinaryIO:
        """The binary stream, whose bytes become no records."""
        return self.stream.buffer

    def fileno(self) -> int:
        return self.stream.fileno()

    def writable(self) -> bool:
        return True

    def flush(self) -> None:
        """Flush the stream. A line that is not complete waits for its end."""
        self.stream.flush()

    def write(self, text: str) -> int:
        if getattr(self._handling, "is_true", False):
            return self.stream.write(text)
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
            if len(self._rest) > LONGEST:
                lines.append(self._rest)
                self._rest = ""
        for line in lines:
            self._log(line)
        return len(text)

    def finish(self) -> None:
        """The function has ended: make a record of an incomplete line."""
        with self._lock:
            line, self._rest = self._rest, ""
        if line:
            self._log(line)

    def _log(self, line: str) -> None:
        self._handling.is_true = True
        try:
            self._logger.log(self._level, "%s", line)
        finally:
            self._handling.is_true = False


class Printed:
    """Replaces stdout and stderr of this process by :class:`PrintedLines`."""

    def __init__(self) -> None:
        self._streams = [
            PrintedLines(sys.stdout, "stdout", logging.INFO),
            PrintedLines(sys.stderr, "stderr", logging.WARNING),
        ]
        sys.stdout, sys.stderr = self._streams

    def finish(self) -> None:
        """A function has ended."""
        for stream in self._streams:
            stream.finish()

    def restore(self) -> None:
        """Bring back the streams from before."""
        sys.stdout, sys.stderr = (stream.stream for stream in self._streams)
