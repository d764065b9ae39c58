"""Workers in real processes, started together."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.benchmarks.calls import VARIABLE, Calls
from tests.waiting import LIMIT

ROOT: Final = Path(__file__).parents[2]
START_LIMIT: Final = LIMIT
"""Seconds for a worker to import what it needs."""

STOP_LIMIT: Final = 10.0
"""Seconds between SIGTERM and SIGKILL."""

_PAUSE: Final = 0.005


class Command(NamedTuple):
    """The command line and environment of a worker."""

    words: Sequence[str]
    env: Mapping[str, str]


class BenchmarkError(Exception):
    """The benchmark cannot measure a system."""


class Workers:
    """One process for each command; all end with the ``with`` block.

    They have imported their modules when the block begins, and start to work at :meth:`go`.
    """

    def __init__(self, commands: Sequence[Command], folder: Path, numbers: int) -> None:
        self._commands = commands
        self._folder = folder
        self._numbers = numbers
        self.calls: list[Calls] = []
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Workers:
        try:
            for index, command in enumerate(self._commands):
                self._start(index, command)
            ready = wait_until(lambda: all(calls.ready for calls in self.calls), START_LIMIT, self)
            if not ready:
                raise BenchmarkError("a worker did not start: " + "; ".join(self.faults()))
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def go(self) -> None:
        """Let all workers start."""
        for calls in self.calls:
            calls.go()

    @property
    def called(self) -> int:
        """The number of tasks called so far; a task called by two workers counts twice."""
        return sum(calls.numbers for calls in self.calls)

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    def ended(self) -> bool:
        """Whether a worker has ended by itself."""
        return any(process.poll() is not None for process in self._processes)

    def faults(self) -> list[str]:
        """The last log line of each worker that ended with an error."""
        return [
            f"a worker ended: {self._last_line(index)}"
            for index, process in enumerate(self._processes)
            if process.poll()
        ]

    def stop(self) -> None:
        """Send SIGTERM to the workers, and SIGKILL after ``STOP_LIMIT``."""
        running = [process for process in self._processes if process.poll() is None]
        for process in running:
            process.terminate()
        until = time.monotonic() + STOP_LIMIT
        for process in running:
            try:
                process.wait(max(until - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, index: int, command: Command) -> None:
        path = self._folder / f"calls-{index}"
        self.calls.append(Calls.create(path, self._numbers))
        env = {name: v for name, v in os.environ.items() if not name.startswith("FLEET_Q_")}
        python_path = os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH")]))
        env |= {**command.env, VARIABLE: str(path), "PYTHONPATH": python_path}
        with open(self._log(index), "wb") as log:
            # A session of its own keeps the terminal's Ctrl-C from it.
            self._processes.append(
                subprocess.Popen(
                    command.words,
                    env=env,
                    cwd=self._folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    def _log(self, index: int) -> Path:
        return self._folder / f"log-{index}"

    def _last_line(self, index: int) -> str:
        lines = self._log(index).read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "no output"


def wait_until(
    condition: Callable[[], bool],
    seconds: float,
    workers: Workers | None = None,
    pause: float = _PAUSE,
) -> bool:
    """Wait until ``condition()`` is true, up to ``seconds`` and while all workers live; returns its
    last value."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > until or (workers is not None and workers.ended()):
            break
        time.sleep(pause)
    return value
