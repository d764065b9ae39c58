"""A worker's process for a system that has no command of its own: ``... worker SYSTEM FOLDER``."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from tests.benchmarks.calls import VARIABLE, Calls
from tests.benchmarks.systems import named


def main(name: str, folder: str) -> None:
    """Open the system, wait for the start, and consume until SIGTERM."""
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    calls = Calls(Path(os.environ[VARIABLE]))
    system = named(name)(Path(folder))
    calls.wait_for_go()
    system.consume(calls, stopping)
    system.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
