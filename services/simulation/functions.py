"""The functions that a process runs: in virtual time, they only take it, and come to some end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fleet_q.core.retry import RetryPolicy
from fleet_q.core.step import Complete, Outcome, Step, claim_order
from fleet_q.services.simulation.actor import Actor
from fleet_q.services.simulation.scenario import Work

Claim = tuple[str, str]


class Functions:
    """Runs up to ``most`` at once, the others wait; as ``services/runners`` does.

    ``began`` is told of functions with a timeout, ``done`` the outcomes, ``killed`` which step
    takes the process down; ``on_begin`` is called as a function begins, and ``on_unconfirmed`` if
    the next step must not begin before its claim is confirmed.
    """

    def __init__(
        self,
        process: Actor,
        most: int,
        work: dict[str, Work],
        *,
        retry_policy: RetryPolicy,
        began: Callable[[str, str, float], object],
        done: Callable[[Outcome], object],
        killed: Callable[[Step], object],
        clock: Callable[[], float],
        on_begin: Callable[[Claim], object],
        on_unconfirmed: Callable[[], object],
    ) -> None:
        self._process = process
        self._most = most
        self._work = work
        self._retry_policy = retry_policy
        self._began = began
        self._done = done
        self._killed = killed
        self._clock = clock
        self._on_begin = on_begin
        self._on_unconfirmed = on_unconfirmed
        self.started: dict[Claim, float] = {}  # when those that were to run, ever, were claimed
        self.begun: set[Claim] = set()  # that did
        self.untold: set[Claim] = set()  # whose outcome the store has still to be told
        self._running: set[Claim] = set()
        self._waiting: list[tuple[Step, float]] = []

    def __len__(self) -> int:
        return len(self._running) + len(self._waiting)

    def __contains__(self, claim: Claim) -> bool:
        return claim in self._running or any(claim == claim_of(step) for step, _ in self._waiting)

    def start(self, steps: Sequence[Step], begin_by: float) -> None:
        """Run these, as soon as there is room."""
        self.started.update((claim_of(step), self._process.virtual_clock.now) for step in steps)
        self._waiting += [(step, begin_by) for step in steps]
        self._waiting.sort(key=lambda entry: claim_order(entry[0]))
        self._fill()

    def confirm(self, begin_by: float) -> None:
        """The claims of what waits stand."""
        self._waiting = [(step, begin_by) for step, _ in self._waiting]
        self._fill()

    def longest_waiting(self) -> tuple[str, float] | None:
        """The step that has waited longest, and since when."""
        waiting = ((self.started[claim_of(step)], step.step_id) for step, _ in self._waiting)
        first = min(waiting, default=None)
        return None if first is None else (first[1], first[0])

    def abandon(self, step_id: str, claim_token: str) -> None:
        """Stop this one."""
        claim = (step_id, claim_token)
        self.untold.add(claim)
        if claim in self._running:
            self._running.remove(claim)
        else:
            self._waiting = [entry for entry in self._waiting if claim_of(entry[0]) != claim]
        self._fill()

    def forget(self, step_id: str, claim_token: str) -> None:
        """This one has ended."""
        self.untold.add((step_id, claim_token))

    def close(self) -> None:
        """Stop all."""
        self._running.clear()
        self._waiting.clear()

    @property
    def should_pull(self) -> bool:
        """Never: here everything can begin, and does as soon as there is room."""
        return False

    def pull(self) -> None:
        """Not called."""

    def take_stuck(self, before: float) -> list[Claim]:
        """Nothing is ever stuck."""
        return []

    def withdraw(self, keep: int) -> list[Claim]:
        """Give up what has not begun, but for the first ``keep``."""
        withdrawn = [claim_of(step) for step, _ in self._waiting[keep:]]
        del self._waiting[keep:]
        self.untold.update(withdrawn)
        return withdrawn

    def _fill(self) -> None:
        while self._waiting and len(self._running) < self._most:
            step, begin_by = self._waiting[0]
            if self._clock() > begin_by:
                self._on_unconfirmed()
                return
            del self._waiting[0]
            claim = claim_of(step)
            work = self._work[step.step_id]
            self._on_begin(claim)
            self.begun.add(claim)
            self._running.add(claim)
            if work.timeout is not None:
                self._began(*claim, work.timeout)
            if work.behaves(step.attempt) != "hangs":
                self._process.virtual_clock.after(work.seconds, self._ends, step)

    def _ends(self, step: Step) -> None:
        """A function comes to its end, if it has not been stopped, or its process with it."""
        process, claim = self._process, claim_of(step)
        if not process.alive or claim not in self._running:
            return
        if process.frozen:
            process.virtual_clock.at(process.frozen_until, self._ends, step)
            return
        self._running.remove(claim)
        match self._work[step.step_id].behaves(step.attempt):
            case "kills its pod":
                self._killed(step)
                return
            case "fails":
                outcome: Outcome = self._retry_policy.fail(*claim, step.attempt, "Boom")
            case "fails for good":
                outcome = self._retry_policy.fail(*claim, step.attempt, "Bust", permanent=True)
            case _:
                outcome = Complete(*claim, result_of(claim[1]))
        self._done(outcome)
        self._fill()


def result_of(claim_token: str) -> str:
    """What a function returns tells under which claim it ran."""
    return f'"{claim_token}"'


def claim_of(step: Step) -> Claim:
    """The claim that a step runs under."""
    assert step.claim_token is not None
    return (step.step_id, step.claim_token)
