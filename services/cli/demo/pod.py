"""A pod of the demo: the reference worker, which does not outlive the demo that started it."""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading


def main() -> None:
    """Run ``fleet-q`` with the words given; its stdin is a pipe that the demo holds open."""
    threading.Thread(target=_leave_with_the_demo, daemon=True).start()
    runpy.run_module("fleet_q", run_name="__main__")


def _leave_with_the_demo() -> None:
    sys.stdin.buffer.read()  # ends when nobody can write any more, however the demo ended
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
