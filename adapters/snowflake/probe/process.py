"""A client in a process of its own, as the probe uses it."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

ANSWER_TIMEOUT: Final = 60.0
"""Seconds for a sign-in or a statement that waits for nothing, as many as a pod has."""


class ClientProcess:
    """A process that runs statements, and waits after the last one.

    Secrets reach it through its standard input. Its errors go nowhere; it just ends.
    """

    def __init__(self, connection: Mapping[str, Any], statements: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fleet_q.adapters.snowflake.probe.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the probe alone
        )
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        assert self._process.stdin is not None
        given = {"connection": dict(connection), "statements": list(statements)}
        self._process.stdin.write(json.dumps(given).encode() + b"\n")
        self._process.stdin.flush()
        threading.Thread(target=self._read, daemon=True).start()
        self.has_signed_in = self.next_line() is not None

    def next_line(self, timeout: float | None = None) -> dict[str, Any] | None:
        """What it found next; ``None`` if it has ended, or after ``timeout`` seconds, by default
        :data:`ANSWER_TIMEOUT`."""
        try:
            return self._lines.get(timeout=ANSWER_TIMEOUT if timeout is None else timeout)
        except queue.Empty:
            return None

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            for line in self._process.stdout:
                self._lines.put(json.loads(line))
        except ValueError:  # closed by kill
            pass
        self._lines.put(None)
