"""The pods of a round: starts them, restarts those that end, and disturbs them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from tests.crash.plan import Act, Duplicate, Freeze, Kill, Stop
from tests.crash.schedule import Schedule
from tests.processes.launcher import Launcher
from tests.waiting import LIMIT

BACK_AFTER: Final = 0.3
"""Seconds until a pod that ended by itself is restarted."""


@dataclass(eq=False)
class PodProcess:
    """One process of a pod, and what was done to it."""

    pod_id: str
    popen: subprocess.Popen[bytes]
    log: Path
    causes: list[str] = field(default_factory=list)
    """What should have ended it: names of signals, and ``move`` if its file was moved away."""
    frozen: int = 0
    """How many acts keep it stopped."""

    @property
    def is_alive(self) -> bool:
        return self.popen.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal that should end it, and record that."""
        if self.is_alive:
            self.causes.append(number.name)
            self.popen.send_signal(number)

    def freeze(self) -> None:
        """Stop it, on behalf of one more act."""
        self.frozen += 1
        if self.is_alive:
            self.popen.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue it if no other act keeps it stopped."""
        self.frozen -= 1
        if self.is_alive and not self.frozen:
            self.popen.send_signal(signal.SIGCONT)

    def wait_until_frozen(self) -> None:
        """Wait until the operating system has stopped the process, or it has ended."""
        if self.is_alive:
            os.waitid(os.P_PID, self.popen.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    @property
    def output(self) -> str:
        """Its log."""
        return self.log.read_text(errors="replace")


class Fleet:
    """Pods by number. Each is restarted when it ends, as a container supervisor would do."""

    def __init__(self, launcher: Launcher, folder: Path, schedule: Schedule, pods: int) -> None:
        self.processes: list[PodProcess] = []
        self.on_started: Callable[[PodProcess], None] = lambda _: None
        """Called with every process that was started."""
        self._launcher = launcher
        self._folder = folder
        self._schedule = schedule
        self._names = [f"pod-{number}" for number in range(pods)]
        self._due = dict.fromkeys(self._names, 0.0)

    def run_due(self) -> None:
        """Carry out the scheduled actions that are due, and restart pods without a live process."""
        self._schedule.run_due()
        now = time.monotonic()
        for name in self._names:
            if any(process.is_alive for process in self._of(name)):
                self._due[name] = max(self._due[name], now + BACK_AFTER)
            elif now >= self._due[name]:
                self.start(name)

    def run_until(self, condition: Callable[[], bool], seconds: float = LIMIT) -> bool:
        """Run the fleet until ``condition()`` holds, or for ``seconds``; returns its last value."""
        until = time.monotonic() + seconds
        while not (value := condition()) and time.monotonic() < until:
            self.run_due()
            time.sleep(0.02)
        return value

    def start(self, name: str, **env: str) -> PodProcess:
        """Start another process of the pod ``name``."""
        log = self._folder / f"{name}.{len(self.processes)}.log"
        process = PodProcess(name, self._launcher.start(name, log=log, **env), log)
        self.processes.append(process)
        self.on_started(process)
        return process

    def add(self, name: str) -> None:
        """Add a pod to those that are kept alive."""
        self._names.append(name)
        self._due[name] = 0.0

    @property
    def alive(self) -> list[PodProcess]:
        """The processes that have not ended."""
        return [process for process in self.processes if process.is_alive]

    def do(self, act: Act) -> None:
        """Disturb a pod."""
        match act:
            case Kill(pod, back_after):
                self._put_off(pod, back_after)
                for process in self._of_pod(pod):
                    process.signal(signal.SIGKILL)
            case Freeze(pod, seconds, duplicate):
                for process in self._of_pod(pod):
                    process.freeze()
                    self._schedule.after(seconds, process.thaw)
                if duplicate:
                    self._schedule.after(seconds / 2, partial(self._start_duplicate, pod))
            case Duplicate(pod):
                self._start_duplicate(pod)
            case Stop(pod, again_after, back_after):
                self._put_off(pod, back_after)
                for process in self._of_pod(pod):
                    process.signal(signal.SIGTERM)
                    if again_after is not None:
                        self._schedule.after(again_after, partial(process.signal, signal.SIGTERM))
            case _:
                raise ValueError(f"{act} does not disturb a pod")

    def end(self, number: signal.Signals) -> list[str]:
        """Send a signal to all live processes and wait for their end; returns the faults."""
        ending = self.alive
        for process in ending:
            process.signal(number)
        return self.wait(ending)

    def wait(self, ending: list[PodProcess]) -> list[str]:
        """Wait for the end of these processes; returns a fault for each that had to be killed."""
        faults = []
        until = time.monotonic() + LIMIT
        for process in ending:
            try:
                process.popen.wait(max(until - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                faults.append(f"{process.log.name}: it did not end within {LIMIT:g} s")
                process.signal(signal.SIGKILL)
                process.popen.wait()
        return faults

    def put_off_all(self) -> None:
        """Restart ended pods no sooner than ``BACK_AFTER`` from now."""
        for number in range(len(self._names)):
            self._put_off(number, BACK_AFTER)

    def _start_duplicate(self, pod: int) -> None:
        self.start(self._names[pod])

    def _put_off(self, pod: int, seconds: float) -> None:
        name = self._names[pod]
        self._due[name] = time.monotonic() + seconds

    def _of_pod(self, pod: int) -> list[PodProcess]:
        return [process for process in self._of(self._names[pod]) if process.is_alive]

    def _of(self, name: str) -> list[PodProcess]:
        return [process for process in self.processes if process.pod_id == name]
