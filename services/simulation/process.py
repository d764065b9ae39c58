"""A pod's process: the shell of ``services/worker/pod_thread.py`` in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from functools import partial
from random import Random
from typing import Any, Final

from fleet_q.core.capacity import slots
from fleet_q.core.errors import IncarnationEnded, StoreCrowded, StoreUnavailable
from fleet_q.core.machine import PodMachine
from fleet_q.core.ports import Manners, StartRecords, Turn
from fleet_q.core.retry import micros
from fleet_q.core.settings import PodSettings
from fleet_q.core.step import Outcome, Step
from fleet_q.services.simulation.actor import Actor, Call, Life, Server
from fleet_q.services.simulation.agenda import Agenda
from fleet_q.services.simulation.checks import SLACK, longest_gap
from fleet_q.services.simulation.cycle import cycle
from fleet_q.services.simulation.functions import Functions
from fleet_q.services.simulation.scenario import Work
from fleet_q.services.simulation.violation import Violation

TICK: Final = 1e-6
"""Seconds by which a sleeper wakes late, as it does everywhere; by a rounding error early, it would
find nothing due and sleep for no time at all, for ever."""


class Process(Actor):
    """One process of a pod. ``rate``: how fast its clock runs; ``work``: what its functions do;
    ``killed``: told when one of them takes the process down; ``on_begin``: told when one begins,
    and when the process last asked, before it, whether its claim stands; ``may_lead``: whether it
    is worth the while to ask who leads; ``starts``: where it is recorded which functions began."""

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
        on_begin: Callable[[tuple[str, str], float], object],
        may_lead: Callable[[str], bool],
        starts: StartRecords | None = None,
    ) -> None:
        super().__init__(pod_id, agenda, server)
        self.number = number
        self.settings = settings
        self.disturbed_at = agenda.now  # when it last had trouble with the store
        self.began_at = agenda.now
        self.gaps: list[tuple[float, float]] = []  # in which it stood still for long
        self.call_began: float | None = None
        self.turns = 0  # that were answered
        self.ids = 0
        self._rate = rate
        self._leapt = chance.uniform(0, 1e6)
        self._leaps: list[tuple[float, float]] = []  # when, and by how many seconds
        self._longest_gap = longest_gap(settings)
        self._may_lead = may_lead
        self._starts = starts
        self._on_begin = on_begin
        self._confirmed: dict[tuple[str, str], tuple[float, float]] = {}  # when asked, answered
        self._untold: set[tuple[str, str]] = set()
        self._inbox: list[Outcome | Callable[[], None]] = []
        self._recovery: Generator[Call, Any, None] | None = None
        self._recovery_answer: Any = None
        self.machine = PodMachine(
            pod_id,
            settings,
            new_id=self._new_id,
            chance=chance.random,
            manners=manners,
        )
        self.machine.records_starts = starts is not None
        most = slots(settings.max_parallelism, settings.capacity_threshold)
        self._most_held = most + settings.claim_ahead
        self._functions = Functions(
            self,
            most,
            work,
            failing=self.machine.fail,
            began=self._began,
            done=self._tell,
            killed=lambda step: killed(self, step),
            clock=self.clock,
            on_begin=self._check_begin,
            on_unconfirmed=lambda: self._tell(self.machine.must_confirm),
        )

    def start(self) -> None:
        """Begin to live."""
        self.begin(self._live())

    def clock(self) -> float:
        """The process's own monotonic clock."""
        return self._leapt + self.agenda.now * self._rate

    def elapsed(self, since: float, until: float) -> float:
        """Seconds of its own clock between these times, at which it lived already."""
        leaps = sum(seconds for when, seconds in self._leaps if since <= when <= until)
        return (until - since) * self._rate + leaps

    def leap(self, seconds: float) -> None:
        """Let its clock leap forward."""
        self._leapt += seconds
        self._leaps.append((self.agenda.now, seconds))
        self.wake()

    def freeze(self, seconds: float) -> None:
        super().freeze(seconds)
        self.disturbed_at = self.frozen_until
        if self.frozen_until - self._stopped_at > self._longest_gap:
            self.gaps.append((self._stopped_at, self.frozen_until))

    def runs(self, step_id: str, claim_token: str) -> bool:
        """Whether a function of it runs under this claim, is about to, or has an outcome that is
        still to be told."""
        claim = (step_id, claim_token)
        return claim in self._functions or claim in self._untold

    def longest_waiting(self) -> tuple[str, float] | None:
        """The step that it holds which has waited longest to begin, and since when."""
        return self._functions.longest_waiting()

    def has_run(self, step_id: str, claim_token: str) -> bool:
        """Whether one ever was to run."""
        return (step_id, claim_token) in self._functions.started

    def began(self, step_id: str, claim_token: str) -> bool:
        """Whether its function did."""
        return (step_id, claim_token) in self._functions.begun

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
            self._functions.abandon(plan.abandon)
            self._untold.update(plan.abandon)
            if plan.begin_by is not None:
                self._functions.confirm(plan.begin_by)
            if plan.keep is not None:
                withdrawn = self._functions.withdraw(plan.keep)
                self.machine.withdrawn(withdrawn)
                self._untold.update(withdrawn)
            if len(self._functions) > self._most_held:
                raise Violation("capacity", self.name, "holds more steps than it may")
            if plan.gone:
                return
            if plan.recover and self._recovery is None:
                if self._may_lead(self.name):
                    self._recovery = cycle(
                        self.name,
                        micros(self.settings.dead_pod_threshold),
                        lambda fleet: self.machine.silent(fleet, self.clock()),
                        self._starts,
                    )
                    self._recovery_answer = None
                else:
                    yield from self._observe()
            called = False
            if plan.look:
                called = yield from self._ask(Call("pods"), self.machine.saw)
            if plan.listen:
                called |= yield from self._ask(Call("bell"), self.machine.heard)
            if plan.turn is not None and not (yield from self._take(plan.turn)):
                return
            if self._recovery is not None:
                yield from self._recover_on()
            busy = called or plan.turn is not None or self._recovery is not None
            if not busy and not self._inbox:
                yield (plan.look_again - self._leapt) / self._rate + TICK
            self._read_inbox()

    def _ask(self, call: Call, tell: Callable[[Any, float], bool]) -> Generator[Call, Any, bool]:
        """Whether the answer changes what is due."""
        try:
            answer = yield from self._call(call)
        except StoreUnavailable as error:
            self._unanswered(error)
            return True
        return tell(answer, self.clock())

    def _observe(self) -> Generator[Call, Any, None]:
        """What is left of a recovery cycle if the pod does not lead."""
        with suppress(StoreUnavailable):
            fleet = yield from self._call(Call("pods"))
            self.machine.silent(fleet, self.clock())

    def _take(self, turn: Turn) -> Generator[Call, Any, bool]:
        """Do a turn; false if this is the end."""
        asked_at = self.agenda.now
        try:
            answer = yield from self._call(Call("turn", (turn,)))
        except IncarnationEnded as ended:
            if ended.superseded:
                return False
            self.machine.ended()
            return True
        except StoreUnavailable as error:
            self._unanswered(error)
            return True
        self.turns += 1
        self._untold.difference_update((o.step_id, o.claim_token) for o in turn.outcomes)
        to_run = self.machine.answered(turn, answer, self.clock())
        stood = [claim for claim in turn.check_held if claim[0] not in answer.lost]
        stood += [(step.step_id, turn.claim_token) for step in answer.claimed]
        self._confirmed.update(dict.fromkeys(stood, (asked_at, self.agenda.now)))
        self._functions.start(to_run, self.machine.begin_by(self.clock()))
        return True

    def _unanswered(self, error: StoreUnavailable) -> None:
        self.machine.unanswered(self.clock(), crowded=isinstance(error, StoreCrowded))

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
            answer = yield call
            if self.agenda.now - self.call_began > self._longest_gap:
                self.disturbed_at = self.agenda.now
            return answer
        except StoreUnavailable:
            self.disturbed_at = self.agenda.now
            raise
        finally:
            self.call_began = None

    def _check_begin(self, claim: tuple[str, str]) -> None:
        asked_at, answered_at = self._confirmed[claim]
        age = self.agenda.now - answered_at
        if age > self.settings.claim_interval * SLACK:
            how = f"began {age:.1f} s after its claim was known to stand"
            raise Violation("what begins is claimed", claim[0], how)
        self._on_begin(claim, asked_at)

    def _began(self, step_id: str, claim_token: str, timeout: float) -> None:
        self._tell(partial(self.machine.began, step_id, claim_token, timeout, self.clock()))

    def _tell(self, news: Outcome | Callable[[], None]) -> None:
        self._inbox.append(news)
        self.wake()

    def _read_inbox(self) -> None:
        inbox, self._inbox = self._inbox, []
        for news in inbox:
            if callable(news):
                news()
            elif self.machine.finished(news):
                self._untold.add((news.step_id, news.claim_token))
