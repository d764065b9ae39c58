"""Actors: sequential processes in virtual time that can be killed or frozen between any two
commands."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any, Protocol

from fleet_q.core.calls import StoreCall
from fleet_q.services.simulation.virtual_clock import VirtualClock

Process = Generator[StoreCall | float, Any, None]
"""What an actor does: a generator that yields store calls, and is sent their answers, and times,
until which it sleeps unless it is woken."""


class Server(Protocol):
    """Performs calls: later it calls ``actor.on_answer`` or ``actor.on_error``."""

    def perform(self, actor: Actor, call: StoreCall) -> None: ...


class Actor:
    """Runs one :data:`Process`. ``name`` is the pod's id, or the name of a client."""

    def __init__(self, name: str, virtual_clock: VirtualClock, server: Server) -> None:
        self.name = name
        self.alive = True
        self.frozen_until = 0.0
        self.virtual_clock = virtual_clock
        self.server = server
        self._process: Process | None = None
        self._stopped_at = math.inf
        self._resumptions = 0  # wake-ups scheduled for an earlier number are stale
        self._sleeping = False

    def begin(self, process: Process) -> None:
        """Start the process."""
        self._process = process
        self._resume(self._resumptions, None, None)

    def wake(self) -> None:
        """End its sleep, if it sleeps."""
        if self._sleeping:
            self._sleeping = False
            self.virtual_clock.at(
                self.virtual_clock.now, self._resume, self._resumptions, None, None
            )

    def kill(self) -> None:
        """End the process at once."""
        self._stopped_at = min(self.silent_since, self.virtual_clock.now)
        self.alive = False
        if self._process is not None:
            self._process.close()

    def freeze(self, seconds: float) -> None:
        """Suspend the process for ``seconds``, without its noticing."""
        self._stopped_at = min(self.silent_since, self.virtual_clock.now)
        self.frozen_until = max(self.frozen_until, self.virtual_clock.now + seconds)

    @property
    def frozen(self) -> bool:
        """Whether the process is suspended."""
        return self.virtual_clock.now < self.frozen_until

    @property
    def is_silent(self) -> bool:
        """Whether it is dead or frozen."""
        return self.frozen or not self.alive

    @property
    def silent_since(self) -> float:
        """Time at which it died or was frozen; infinity while it runs."""
        return self._stopped_at if self.is_silent else math.inf

    def on_answer(self, answer: Any) -> None:
        """Resume it with the answer to its call."""
        self._resume(self._resumptions, answer, None)

    def on_error(self, error: Exception) -> None:
        """Resume it with the error that its call raised."""
        self._resume(self._resumptions, None, error)

    def _resume(self, number: int, answer: Any, error: Exception | None) -> None:
        if not self.alive or number != self._resumptions or self._process is None:
            return
        if self.frozen:
            self.virtual_clock.at(self.frozen_until, self._resume, number, answer, error)
            return
        self._resumptions += 1
        self._sleeping = False
        try:
            command = self._process.send(answer) if error is None else self._process.throw(error)
        except StopIteration:
            self.kill()
            return
        if isinstance(command, StoreCall):
            self.server.perform(self, command)
        else:
            self._sleeping = True
            if command < math.inf:
                self.virtual_clock.at(command, self._resume, self._resumptions, None, None)
