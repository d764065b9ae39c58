"""Shrinks a scenario that breaks a promise: removes all parts that are not needed to break it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from msgspec.structs import replace

from fleet_q.services.simulation import scenario as sc
from fleet_q.services.simulation.fleet import Outcome, simulate
from fleet_q.services.simulation.scenario import Scenario

MOST_RUNS: Final = 250
"""Maximum number of smaller scenarios that are tried."""

MARGIN: Final = 120.0
"""Seconds by which a smaller scenario may break the promise later."""

T = TypeVar("T")


class Shrinker:
    """Finds ever smaller scenarios that break the same promise as ``outcome``. ``on_try`` is called
    with the number of each scenario that is tried."""

    def __init__(self, outcome: Outcome, on_try: Callable[[int], object]) -> None:
        assert outcome.violation is not None
        self.smallest = outcome
        self.runs = 0
        self._promise = outcome.violation.promise
        self._on_try = on_try

    def shrink(self) -> Outcome:
        """Return the outcome of the smallest scenario found."""
        self._drop_the_end()
        size = None
        while size != (size := _size(self.smallest.scenario)) and self.runs < MOST_RUNS:
            self._drop(lambda s: s.faults, lambda s, kept: replace(s, faults=kept))
            self._drop(lambda s: s.requests, lambda s, kept: replace(s, requests=kept))
            self._drop(_step_ids, _with_steps)
            self._drop(lambda s: s.pods, _with_pods)
        return self.smallest

    def _drop_the_end(self) -> None:
        now, scenario = self.smallest.fleet.virtual_clock.now, self.smallest.scenario
        self._try(
            replace(
                scenario,
                seconds=min(scenario.seconds, now),
                faults=tuple(fault for fault in scenario.faults if fault.at <= now),
                requests=tuple(request for request in scenario.requests if request.at <= now),
            )
        )

    def _drop(
        self,
        parts: Callable[[Scenario], Sequence[T]],
        with_parts: Callable[[Scenario, tuple[T, ...]], Scenario],
    ) -> None:
        """Remove parts: halves first, then quarters and so on, down to single parts."""
        size = (len(parts(self.smallest.scenario)) + 1) // 2
        while size and self.runs < MOST_RUNS:
            at = 0
            while at < len(present := parts(self.smallest.scenario)) and self.runs < MOST_RUNS:
                kept = (*present[:at], *present[at + size :])
                if not self._try(with_parts(self.smallest.scenario, kept)):
                    at += size
            size //= 2

    def _until(self) -> float:
        """Time until which a scenario must break the promise."""
        return self.smallest.fleet.virtual_clock.now + MARGIN

    def _try(self, scenario: Scenario) -> bool:
        self.runs += 1
        self._on_try(self.runs)
        outcome = simulate(scenario, until=self._until())
        if outcome.violation is None or outcome.violation.promise != self._promise:
            return False
        self.smallest = outcome
        return True


def _with_pods(scenario: Scenario, pods: tuple[sc.Start, ...]) -> Scenario:
    """The scenario without the other pods and their faults."""
    names = {pod.pod_id for pod in pods}
    return replace(
        scenario,
        pods=pods,
        faults=tuple(
            f for f in scenario.faults if isinstance(f, sc.FleetFault) or f.pod_id in names
        ),
    )


def _step_ids(scenario: Scenario) -> list[str]:
    submissions = (request for request in scenario.requests if isinstance(request, sc.Submission))
    return [work.step_id for submission in submissions for work in submission.steps]


def _with_steps(scenario: Scenario, step_ids: tuple[str, ...]) -> Scenario:
    """The scenario without the other steps."""
    kept = set(step_ids)
    requests: list[sc.Request] = []
    for request in scenario.requests:
        if not isinstance(request, sc.Submission):
            requests.append(request)
        elif steps := tuple(work for work in request.steps if work.step_id in kept):
            requests.append(replace(request, steps=steps))
    return replace(scenario, requests=tuple(requests))


def _size(scenario: Scenario) -> int:
    return len(scenario.faults) + len(scenario.requests) + len(scenario.pods) + scenario.steps
