"""A pod's process: the shell of ``services/pod.py`` in virtual time, and the functions it runs."""

from __future__ import annotations

from collections.abc import Callable, Generator
from random import Random
from typing import Any, Final

from fleet_q.core.capacity import slots
from fleet_q.core.errors import IncarnationEnded, StoreUnavailable
from fleet_q.core.machine import PodMachine
from fleet_q.core.ports import Manners, Turn
from fleet_q.core.retry import micros
from fleet_q.core.settings import PodSettings
from fleet_q.core.step import Complete, Outcome, Step
from fleet_q.services.simulation.actor import Actor, Call, Life, Server
from fleet_q.services.simulation.agenda import Agenda
from fleet_q.services.simulation.cycle import cycle
from fleet_q.services.simulation.scenario import Work
from fleet_q.services.simulation.violation import Violation

TICK: Final = 1e-6
"""Seconds by which a sleeper wakes late, as it does everywhere; by a rounding error early, it would
find nothing due and sleep for no time at all, for ever."""


def result_of(claim_token: str) -> str:
    """What a function returns tells under which claim it ran."""
    return f'"{claim_token}"'


class Process(Actor):
    """One process of a pod. ``rate``: how fast its clock runs; ``work``: what its functions do;
    ``killed``: told when one of them takes the process down."""

    def __init__(
        self,
        pod_id: str,
        number: int,
        agenda: Agenda,
        server: Server,
        settings: PodSettings,
        *,
        chance: Random,
        manners: Manners,
        rate: float,
        work: dict[str, Work],
        killed: Callable[[Process, Step], object],
    ) -> None:
        super().__init__(pod_id, agenda, server)
        self.number = number
        self.settings = settings
        self.disturbed_at = agenda.now  # when it last had trouble with the store
        self.call_began: float | None = None
        self.ids = 0
        self._rate = rate
        self._leapt = chance.uniform(0, 1e6)
        self._chance = chance
        self._work = work
        self._killed = killed
        self._inbox: list[Outcome] = []
        self._running: set[tuple[str, str]] = set()
        self._recovery: Generator[Call, Any, None] | None = None
        self._recovery_answer: Any = None
        self._slots = slots(settings.max_parallelism, settings.capacity_threshold)
        self.machine = PodMachine(
            pod_id,
            settings,
            new_id=self._new_id,
            chance=chance.random,
            timeout_of=lambda step: work[step.step_id].timeout,
            manners=manners,
        )

    def start(self) -> None:
        """Begin to live."""
        self.begin(self._live())

    def clock(self) -> float:
        """The process's own monotonic clock."""
        return self._leapt + self.agenda.now * self._rate

    def leap(self, seconds: float) -> None:
        """Let its clock leap forward."""
        self._leapt += seconds
        self.wake()

    def runs(self, step_id: str, claim_token: str) -> bool:
        """Whether a function of it runs under this claim."""
        return (step_id, claim_token) in self._running

    def work_arrived(self) -> None:
        """A step was submitted in this process."""
        self.machine.work_arrived()
        self.wake()

    def drain(self, grace: float | None = None) -> None:
        """Tell it to stop."""
        self.machine.drain(self.clock(), grace)
        self.wake()

    def _new_id(self) -> str:
        self.ids += 1
        return f"{self.name}/{self.number}/{self.ids}"

    def _live(self) -> Life:
        while True:
            plan = self.machine.plan(self.clock())
            self._running.difference_update(plan.abandon)
            if len(self._running) > self._slots:
                raise Violation("capacity", self.name, "runs more steps than it has room for")
            if plan.gone:
                return
            if plan.recover and self._recovery is None:
                self._recovery = cycle(self.name, micros(self.settings.dead_pod_threshold))
                self._recovery_answer = None
            if plan.listen:
                yield from self._listen()
            if plan.turn is not None and not (yield from self._take(plan.turn)):
                return
            if self._recovery is not None:
                yield from self._recover_on()
            if plan.turn is None and self._recovery is None and not self._inbox:
                yield (plan.look_again - self._leapt) / self._rate + TICK
            self._read_inbox()

    def _listen(self) -> Generator[Call, Any, None]:
        try:
            bell = yield from self._call(Call("bell"))
        except StoreUnavailable:
            self.machine.unanswered(self.clock())
        else:
            self.machine.heard(bell, self.clock())

    def _take(self, turn: Turn) -> Generator[Call, Any, bool]:
        """Do a turn; false if this is the end."""
        try:
            answer = yield from self._call(Call("turn", (turn,)))
        except IncarnationEnded as ended:
            if ended.superseded:
                return False
            self.machine.ended()
            return True
        except StoreUnavailable:
            self.machine.unanswered(self.clock())
            return True
        for step in self.machine.answered(turn, answer, self.clock()):
            self._start(step)
        return True

    def _recover_on(self) -> Generator[Call, Any, None]:
        assert self._recovery is not None
        try:
            call = self._recovery.send(self._recovery_answer)
            self._recovery_answer = yield from self._call(call)
        except (StopIteration, StoreUnavailable):
            self._recovery = None

    def _call(self, call: Call) -> Generator[Call, Any, Any]:
        self.call_began = self.agenda.now
        try:
            return (yield call)
        except StoreUnavailable:
            self.disturbed_at = self.agenda.now
            raise
        finally:
            self.call_began = None

    def _read_inbox(self) -> None:
        inbox, self._inbox = self._inbox, []
        for outcome in inbox:
            self.machine.finished(outcome)

    def _start(self, step: Step) -> None:
        assert step.claim_token is not None
        self._running.add((step.step_id, step.claim_token))
        work = self._work[step.step_id]
        if work.behaves(step.attempt) != "hangs":
            self.agenda.after(work.seconds, self._ends, step)

    def _ends(self, step: Step) -> None:
        """A function comes to its end, if its process still runs it."""
        assert step.claim_token is not None
        claim = (step.step_id, step.claim_token)
        if not self.alive or claim not in self._running:
            return
        if self.frozen:
            self.agenda.at(self.frozen_until, self._ends, step)
            return
        self._running.remove(claim)
        match self._work[step.step_id].behaves(step.attempt):
            case "kills its pod":
                self._killed(self, step)
                return
            case "fails":
                outcome: Outcome = self.machine.fail(*claim, step.attempt, "Boom")
            case "fails for good":
                outcome = self.machine.fail(*claim, step.attempt, "Bust", permanent=True)
            case _:
                outcome = Complete(*claim, result_of(step.claim_token))
        self._inbox.append(outcome)
        self.wake()
