"""A pod of the demo: ``fleet-q worker``, which stops when the demo's process ends."""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading


def main() -> None:
    """Run ``fleet-q`` with the arguments of this process. Its stdin is a pipe from the demo."""
    threading.Thread(target=_stop_with_demo, daemon=True).start()
    runpy.run_module("fleet_q", run_name="__main__")


def _stop_with_demo() -> None:
    sys.stdin.buffer.read()  # returns when the demo's end of the pipe is closed
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
