"""Simulated functions of a process: they take virtual time, and end as their step's work says."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

from fleet_q.core.retry import MICROS, RetryPolicy
from fleet_q.core.step import Outcome, Release, Step, claim_order, must_begin_by
from fleet_q.core.worker.functions import Claim
from fleet_q.core.worker.program import Message
from fleet_q.services.simulation.actor import Actor
from fleet_q.services.simulation.children import completion
from fleet_q.services.simulation.saving import Saver, number_in, saving
from fleet_q.services.simulation.scenario import Work


class Functions:
    """Runs up to ``slots`` functions at once, in the order of claims, like the runners of a worker.

    ``on_begin`` is called when a function begins, with the number in its checkpoint, and
    ``on_timeout_set`` if it has a timeout, with the claim and the seconds; ``on_done`` with each
    outcome; ``on_killed`` with the step that kills the process; ``on_unconfirmed`` when the next
    step must not begin before its claim is confirmed, or a function's claim is lost; ``on_saved``
    with the number in a checkpoint that was acknowledged.
    """

    def __init__(
        self,
        process: Actor,
        slots: int,
        work: dict[str, Work],
        *,
        retry_policy: RetryPolicy,
        on_timeout_set: Callable[[str, str, float], object],
        on_done: Callable[[Message], object],
        on_killed: Callable[[Step], object],
        clock: Callable[[], float],
        on_begin: Callable[[Claim, int], object],
        on_unconfirmed: Callable[[], object],
        on_saved: Callable[[Claim, int], object],
    ) -> None:
        self._process = process
        self._slots = slots
        self._work = work
        self._retry_policy = retry_policy
        self._on_timeout_set = on_timeout_set
        self._on_done = on_done
        self._on_killed = on_killed
        self._clock = clock
        self._on_begin = on_begin
        self._on_unconfirmed = on_unconfirmed
        self._on_saved = on_saved
        self.savers: list[Saver] = []
        self.claimed_at: dict[Claim, float] = {}  # for all ever started
        self.begun: set[Claim] = set()  # whose function has begun
        self.unreported: set[Claim] = set()  # ended, but not yet reported to the store
        self._start_by: dict[Claim, float] = {}
        self._running: set[Claim] = set()
        self._waiting: list[tuple[Step, float]] = []

    def __len__(self) -> int:
        return len(self._running) + len(self._waiting)

    def __contains__(self, claim: Claim) -> bool:
        return claim in self._running or any(claim == claim_of(step) for step, _ in self._waiting)

    def start(self, steps: Sequence[Step], begin_by: float, ahead: float = 0.0) -> None:
        """Run these steps as soon as slots are free; none may begin after ``begin_by``, or when it
        has expired by the store's clock, which is ``ahead``."""
        for step in steps:
            if (must_begin := must_begin_by(step)) is not None:
                self._start_by[claim_of(step)] = must_begin / MICROS - ahead
        self.claimed_at.update((claim_of(step), self._process.virtual_clock.now) for step in steps)
        self._waiting += [(step, begin_by) for step in steps]
        self._waiting.sort(key=lambda entry: claim_order(entry[0]))
        self._fill()

    def confirm(self, begin_by: float) -> None:
        """Let waiting steps begin until ``begin_by``: their claims are confirmed."""
        self._waiting = [(step, begin_by) for step, _ in self._waiting]
        self._fill()

    def longest_waiting(self) -> tuple[str, float] | None:
        """The step that has waited longest to begin, and since when; ``None`` if none waits."""
        waiting = ((self.claimed_at[claim_of(step)], step.step_id) for step, _ in self._waiting)
        first = min(waiting, default=None)
        return None if first is None else (first[1], first[0])

    def abandon(self, step_id: str, claim_token: str) -> None:
        """Stop the function, or do not let it begin."""
        claim = (step_id, claim_token)
        self.unreported.add(claim)
        if claim in self._running:
            self._running.remove(claim)
        else:
            self._waiting = [entry for entry in self._waiting if claim_of(entry[0]) != claim]
        self._fill()

    def forget(self, step_id: str, claim_token: str) -> None:
        """Record that the claim has ended."""
        self.unreported.add((step_id, claim_token))

    def close(self) -> None:
        """Stop all functions."""
        self._running.clear()
        self._waiting.clear()

    @property
    def should_pull(self) -> bool:
        """Always false: waiting steps begin as soon as slots are free."""
        return False

    def pull(self) -> None:
        """Never called."""

    def take_stuck(self, before: float) -> list[Claim]:
        """Always empty: simulated functions can be stopped."""
        return []

    def withdraw(self, keep: int) -> list[Claim]:
        """Withdraw the steps that have not begun, except the first ``keep``."""
        withdrawn = [claim_of(step) for step, _ in self._waiting[keep:]]
        del self._waiting[keep:]
        self.unreported.update(withdrawn)
        return withdrawn

    def _fill(self) -> None:
        while self._waiting and len(self._running) < self._slots:
            step, begin_by = self._waiting[0]
            if self._clock() > self._start_by.get(claim_of(step), math.inf):
                del self._waiting[0]
                self._on_done(Release(*claim_of(step)))
                continue
            if self._clock() > begin_by:
                self._on_unconfirmed()
                return
            del self._waiting[0]
            claim = claim_of(step)
            work = self._work[step.step_id]
            self._on_begin(claim, number_in(step))
            self.begun.add(claim)
            self._running.add(claim)
            if work.timeout is not None:
                self._on_timeout_set(*claim, work.timeout)
            if work.saves:
                self._save(step, work)
            elif work.behaves(step.attempt) != "hangs":
                self._process.virtual_clock.after(work.seconds, self._end, step)

    def _save(self, step: Step, work: Work) -> None:
        """Run a function that saves checkpoints."""
        claim, saver = claim_of(step), Saver(self._process)
        self.savers = [other for other in self.savers if other.alive]
        self.savers.append(saver)
        saver.begin(
            saving(
                self._process,
                step,
                work,
                is_running=lambda: claim in self._running,
                on_saved=partial(self._on_saved, claim),
                on_lost=self._on_unconfirmed,
                on_end=partial(self._end, step),
            )
        )

    def _end(self, step: Step) -> None:
        """End a function, unless it or its process has been stopped."""
        process, claim = self._process, claim_of(step)
        if not process.alive or claim not in self._running:
            return
        if process.frozen:
            process.virtual_clock.at(process.frozen_until, self._end, step)
            return
        self._running.remove(claim)
        work = self._work[step.step_id]
        if step.snoozes < work.snoozes:
            self._on_done(self._retry_policy.snooze(step, claim[1], work.snooze_for))
            self._fill()
            return
        match self._work[step.step_id].behaves(step.attempt):
            case "kills its pod":
                self._on_killed(step)
                return
            case "fails":
                outcome: Outcome = self._retry_policy.fail(*claim, step.attempt, "Boom")
            case "fails for good":
                outcome = self._retry_policy.fail(*claim, step.attempt, "Bust", permanent=True)
            case _:
                outcome = completion(step, result_of(claim[1]), self._work)
        self._on_done(outcome)
        self._fill()


def result_of(claim_token: str) -> str:
    """The result of a function: the token of the claim that it ran under."""
    return f'"{claim_token}"'


def claim_of(step: Step) -> Claim:
    """The step's id and claim token."""
    assert step.claim_token is not None
    return (step.step_id, step.claim_token)
