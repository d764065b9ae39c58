"""Something that lives in virtual time, does one thing after the other, and may be killed or stand
still between any two of them."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any, Protocol

from fleet_q.core.calls import StoreCall
from fleet_q.services.simulation.virtual_clock import VirtualClock

Life = Generator[StoreCall | float, Any, None]
"""What an actor does: it yields calls, to be sent their answers, and the times that it sleeps
until unless it is woken."""


class Server(Protocol):
    """Who answers calls: sooner or later it tells ``actor.answered`` or ``actor.refused``."""

    def perform(self, actor: Actor, call: StoreCall) -> None: ...


class Actor:
    """One sequential process."""

    def __init__(self, name: str, virtual_clock: VirtualClock, server: Server) -> None:
        self.name = name
        self.alive = True
        self.frozen_until = 0.0
        self.virtual_clock = virtual_clock
        self._server = server
        self._life: Life | None = None
        self._stopped_at = math.inf
        self._moment = 0  # what is to wake it at another moment than this comes too late
        self._sleeps = False

    def begin(self, life: Life) -> None:
        """Begin to live."""
        self._life = life
        self._go(self._moment, None, None)

    def wake(self) -> None:
        """Cut a sleep short."""
        if self._sleeps:
            self._sleeps = False
            self.virtual_clock.at(self.virtual_clock.now, self._go, self._moment, None, None)

    def kill(self) -> None:
        """End it, here and now."""
        self._stopped_at = min(self.silent_since, self.virtual_clock.now)
        self.alive = False
        if self._life is not None:
            self._life.close()

    def freeze(self, seconds: float) -> None:
        """Let it stand still; it does not notice."""
        self._stopped_at = min(self.silent_since, self.virtual_clock.now)
        self.frozen_until = max(self.frozen_until, self.virtual_clock.now + seconds)

    @property
    def frozen(self) -> bool:
        """Whether it stands still."""
        return self.virtual_clock.now < self.frozen_until

    @property
    def silent_since(self) -> float:
        """When it died or came to stand still; infinity while it lives and moves."""
        return self._stopped_at if self.frozen or not self.alive else math.inf

    def answered(self, answer: Any) -> None:
        """The answer to its call."""
        self._go(self._moment, answer, None)

    def refused(self, error: Exception) -> None:
        """The error that its call ended with."""
        self._go(self._moment, None, error)

    def _go(self, moment: int, answer: Any, error: Exception | None) -> None:
        if not self.alive or moment != self._moment or self._life is None:
            return
        if self.frozen:
            self.virtual_clock.at(self.frozen_until, self._go, moment, answer, error)
            return
        self._moment += 1
        self._sleeps = False
        try:
            need = self._life.send(answer) if error is None else self._life.throw(error)
        except StopIteration:
            self.kill()
            return
        if isinstance(need, StoreCall):
            self._server.perform(self, need)
        else:
            self._sleeps = True
            if need < math.inf:
                self.virtual_clock.at(need, self._go, self._moment, None, None)
