"""The pods of a round: started, started again when they end, and struck."""

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

from tests.crash.agenda import Agenda
from tests.crash.plan import Act, Freeze, Kill, Stop, Twin
from tests.processes.launcher import Launcher
from tests.waiting import LIMIT

BACK_AFTER: Final = 0.3
"""Seconds until a pod that ended by itself is started again."""


@dataclass(eq=False)
class PodProcess:
    """One process of a pod, and what was done to it."""

    pod_id: str
    popen: subprocess.Popen[bytes]
    log: Path
    told: list[str] = field(default_factory=list)
    """The signals that were to end it, and ``move``, if its file was moved away."""
    frozen: int = 0
    """By how many acts it is stopped."""

    @property
    def is_alive(self) -> bool:
        return self.popen.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal that is to end it."""
        if self.is_alive:
            self.told.append(number.name)
            self.popen.send_signal(number)

    def freeze(self) -> None:
        """Stop it, for one reason more."""
        self.frozen += 1
        if self.is_alive:
            self.popen.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """One reason less for it to be stopped."""
        self.frozen -= 1
        if self.is_alive and not self.frozen:
            self.popen.send_signal(signal.SIGCONT)

    def wait_until_frozen(self) -> None:
        """A signal takes its time."""
        if self.is_alive:
            os.waitid(os.P_PID, self.popen.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    @property
    def words(self) -> str:
        """All that it said."""
        return self.log.read_text(errors="replace")


class Fleet:
    """Pods by number, each kept alive as a supervisor of containers would."""

    def __init__(self, launcher: Launcher, folder: Path, agenda: Agenda, pods: int) -> None:
        self.processes: list[PodProcess] = []
        self.started: Callable[[PodProcess], None] = lambda _: None
        """Told of every process that was started."""
        self._launcher = launcher
        self._folder = folder
        self._virtual_clock = agenda
        self._names = [f"pod-{number}" for number in range(pods)]
        self._due = dict.fromkeys(self._names, 0.0)

    def tend(self) -> None:
        """Do what is due, and start every pod that no process is alive of."""
        self._virtual_clock.tend()
        now = time.monotonic()
        for name in self._names:
            if any(each.is_alive for each in self._of(name)):
                self._due[name] = max(self._due[name], now + BACK_AFTER)
            elif now >= self._due[name]:
                self.start(name)

    def tend_until(self, what: Callable[[], bool], seconds: float = LIMIT) -> bool:
        """Tend to it until ``what()`` is true, or so long; the last answer."""
        until = time.monotonic() + seconds
        while not (answer := what()) and time.monotonic() < until:
            self.tend()
            time.sleep(0.02)
        return answer

    def start(self, name: str, **env: str) -> PodProcess:
        """Start a process of the pod ``name``."""
        log = self._folder / f"{name}.{len(self.processes)}.log"
        process = PodProcess(name, self._launcher.start(name, log=log, **env), log)
        self.processes.append(process)
        self.started(process)
        return process

    def add(self, name: str) -> None:
        """One more pod to keep alive."""
        self._names.append(name)
        self._due[name] = 0.0

    @property
    def alive(self) -> list[PodProcess]:
        """The processes that have not ended."""
        return [process for process in self.processes if process.is_alive]

    def do(self, act: Act) -> None:
        """Let this happen to a pod."""
        match act:
            case Kill(pod, back_after):
                self._put_off(pod, back_after)
                for process in self._of_pod(pod):
                    process.signal(signal.SIGKILL)
            case Freeze(pod, seconds, twin):
                for process in self._of_pod(pod):
                    process.freeze()
                    self._virtual_clock.later(seconds, process.thaw)
                if twin:
                    self._virtual_clock.later(seconds / 2, partial(self._start_twin, pod))
            case Twin(pod):
                self._start_twin(pod)
            case Stop(pod, again_after, back_after):
                self._put_off(pod, back_after)
                for process in self._of_pod(pod):
                    process.signal(signal.SIGTERM)
                    if again_after is not None:
                        self._virtual_clock.later(
                            again_after, partial(process.signal, signal.SIGTERM)
                        )
            case _:
                raise ValueError(f"{act} is nothing that happens to a pod")

    def end(self, number: signal.Signals) -> list[str]:
        """End all processes; what is wrong with how long that takes."""
        ending = self.alive
        for process in ending:
            process.signal(number)
        return self.wait(ending)

    def wait(self, ending: list[PodProcess]) -> list[str]:
        """Wait for these to end; what is wrong if they do not."""
        faults = []
        until = time.monotonic() + LIMIT
        for process in ending:
            try:
                process.popen.wait(max(until - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                faults.append(f"{process.log.name}: it did not end in {LIMIT:g} s")
                process.signal(signal.SIGKILL)
                process.popen.wait()
        return faults

    def put_off_all(self) -> None:
        """Count the time until those that ended are started again from now."""
        for number in range(len(self._names)):
            self._put_off(number, BACK_AFTER)

    def _start_twin(self, pod: int) -> None:
        self.start(self._names[pod])

    def _put_off(self, pod: int, seconds: float) -> None:
        name = self._names[pod]
        self._due[name] = time.monotonic() + seconds

    def _of_pod(self, pod: int) -> list[PodProcess]:
        return [each for each in self._of(self._names[pod]) if each.is_alive]

    def _of(self, name: str) -> list[PodProcess]:
        return [process for process in self.processes if process.pod_id == name]
