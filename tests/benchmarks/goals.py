"""The goals for FLEET-Q's speed, and whether a run reaches them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from tests.benchmarks.cases import backlog, drain, latency, lists, memory, submit
from tests.benchmarks.results import Results
from tests.benchmarks.sizes import FULL
from tests.benchmarks.systems import OURS

SHORT, _, LONG = FULL.backlogs
FAIR_PART: Final = 50.0
"""The smallest part of a pod should be at least this percentage of an equal part."""

FLAT: Final = 1.1
"""The peak memory at the end of a drain may be this multiple of that at its beginning."""


class Goal(NamedTuple):
    """``value`` of a run should be at least, or at most, ``bound``; ``None``: not measured."""

    what: str
    value: Callable[[Results], float | None]
    bound: float
    at_least: bool
    unit: str

    @property
    def wanted(self) -> str:
        """The bound in words."""
        return f"{'≥' if self.at_least else '≤'} {self.bound:g} {self.unit}"


class Verdict(NamedTuple):
    """A goal and the value of a run; ``reached`` is ``None`` if it was not measured."""

    goal: Goal
    value: float | None

    @property
    def reached(self) -> bool | None:
        if self.value is None:
            return None
        enough = self.value >= self.goal.bound
        return enough if self.goal.at_least else self.value <= self.goal.bound


PEER, OF_LIMIT, ITSELF = "× the best peer", "of the limit with history", "×"
GOALS: Final = (
    Goal("submit one by one", lambda r: r.ratio_to_best_peer(submit.ONE_BY_ONE), 1, True, PEER),
    Goal("submit one by one", lambda r: r.ratio_to_limit(submit.ONE_BY_ONE), 0.6, True, OF_LIMIT),
    Goal("submit in batches", lambda r: r.ratio_to_limit(submit.IN_BATCHES), 0.5, True, OF_LIMIT),
    Goal("drain, one pod", lambda r: r.ratio_to_best_peer(drain.ONE), 3, True, PEER),
    Goal("drain, one pod", lambda r: r.ratio_to_limit(drain.ONE), 0.4, True, OF_LIMIT),
    Goal(
        f"drain at a backlog of {LONG:,} as at {SHORT:,}",
        lambda r: r.ratio(backlog.figure(LONG), (backlog.figure(SHORT), OURS)),
        0.8,
        True,
        ITSELF,
    ),
    Goal(
        "drain by four pods as by one",
        lambda r: r.ratio(drain.FOUR, (drain.ONE, OURS)),
        1,
        True,
        ITSELF,
    ),
    Goal(
        "smallest part of four pods",
        lambda r: r.value(drain.SMALLEST_OF_FOUR),
        FAIR_PART,
        True,
        "% of equal",
    ),
    Goal("latency of one task, p50", lambda r: r.value(latency.P50), 20, False, "ms"),
    Goal(
        f"first page of any list of {LONG:,}",
        lambda r: lists.slowest(r, LONG),
        50,
        False,
        "ms",
    ),
    Goal("CPU of an idle pod", lambda r: r.value(latency.IDLE_CPU), 1, False, "% of a core"),
    Goal(
        f"memory of a pod draining {FULL.memory:,}",
        lambda r: r.value(memory.peak(FULL.memory)),
        120,
        False,
        "MB",
    ),
    Goal(
        "the same, its end as its beginning",
        lambda r: r.value(memory.growth(FULL.memory)),
        FLAT,
        False,
        ITSELF,
    ),
)


def verdicts(results: Results) -> list[Verdict]:
    """Every goal, in order."""
    return [Verdict(goal, goal.value(results)) for goal in GOALS]


def faults(results: Results) -> list[str]:
    """The faults of FLEET-Q itself; there must be none."""
    return [
        f"{figure.title}: {fault}"
        for figure in results.figures
        for fault in results.faults(figure, OURS)
    ]
