"""Simulated clients of a pod by hand: each claims a step, works, and renews its lease meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, Final

from fleet_q.core.retry import MICROS
from fleet_q.core.routing import Routes
from fleet_q.core.step import Fail, Step, is_late
from fleet_q.services.simulation.children import completion
from fleet_q.services.simulation.functions import Functions, claim_of, result_of
from fleet_q.services.simulation.saving import number_in

if TYPE_CHECKING:
    from fleet_q.core.worker.machine import PodMachine

LEASE: Final = 30.0
"""Seconds of every lease. Clients renew it three times within."""

LATE: Final = 1.5 * LEASE
"""Seconds after which a client that hangs may answer, although it has lost its step."""

SILENT_SHARE: Final = 0.1
"""The share of the attempts in which a client hangs, whatever its step does."""


class Clients(Functions):
    """As many clients as there are slots. Each asks for one step of these ``routes`` and waits for
    it, and comes back after a pause, whose length ``chance`` draws. ``asking`` is how many wait for
    a step."""

    def __init__(
        self, machine: PodMachine, routes: Routes, chance: Random, *arguments: Any, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self.asking = 0
        self._machine = machine
        self._routes = routes
        self._chance = chance
        self._pausing = 0

    def start(self, steps: Sequence[Step], begin_by: float, ahead: float = 0.0) -> None:
        """Hand the steps to clients that wait."""
        now = self._process.virtual_clock.now
        self.claimed_at.update((claim_of(step), now) for step in steps)
        at = round((self._clock() + ahead) * MICROS)
        in_time = [step for step in steps if not is_late(step, at)]
        given, unwanted = in_time[: self.asking], in_time[self.asking :]
        unwanted += [step for step in steps if is_late(step, at)]
        self.asking -= len(given)
        self._machine.want({self._routes: self.asking})
        self.unreported.update(map(claim_of, unwanted))
        self._machine.withdrawn(map(claim_of, unwanted))
        for step in given:
            claim = claim_of(step)
            self._on_begin(claim, number_in(step))
            self.begun.add(claim)
            self._running.add(claim)
            self._begin_lease(step, self._clock())
            hangs = self._work[step.step_id].behaves(step.attempt) == "hangs"
            if hangs or self._chance.random() < SILENT_SHARE:
                if self._chance.random() < 0.7:
                    self._process.virtual_clock.after(LATE, self._answer_late, step)
            else:
                self._process.virtual_clock.after(self._work[step.step_id].seconds, self._end, step)
                self._process.virtual_clock.after(LEASE / 3, self._renew, step)

    def _fill(self) -> None:
        """Let the clients that have nothing to do come back after a pause."""
        while self._slots > len(self._running) + self.asking + self._pausing:
            self._pausing += 1
            pause = self._chance.choice([0.0, 0.0, 1.0, 30.0])
            self._process.virtual_clock.after(pause, self._ask)

    def _ask(self) -> None:
        self._pausing -= 1
        self.asking += 1
        if self._process.alive:
            self._on_done(self._look)

    def _look(self) -> None:
        self._machine.want({self._routes: self.asking})
        self._machine.look(self._routes)

    def _renew(self, step: Step) -> None:
        process = self._process
        if not process.alive or claim_of(step) not in self._running:
            return
        if process.frozen:
            process.virtual_clock.at(process.frozen_until, self._renew, step)
            return
        self._on_done(partial(self._begin_lease, step, self._clock()))
        process.virtual_clock.after(LEASE / 3, self._renew, step)

    def _begin_lease(self, step: Step, now: float) -> None:
        failure: Fail = self._retry_policy.fail(*claim_of(step), step.attempt, "silent")
        self._machine.began(*claim_of(step), LEASE, now, failure)

    def _answer_late(self, step: Step) -> None:
        process, claim = self._process, claim_of(step)
        if not process.alive:
            return
        if process.frozen:
            process.virtual_clock.at(process.frozen_until, self._answer_late, step)
            return
        self._running.discard(claim)
        self._on_done(completion(step, result_of(claim[1]), self._work))
        self._fill()

    def begin(self) -> None:
        """Let all clients ask."""
        self._fill()
