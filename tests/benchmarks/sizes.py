"""How much is measured: enough for steady medians, or enough for a first look."""

from __future__ import annotations

from typing import Final, NamedTuple


class Sizes(NamedTuple):
    """Counts are tasks, durations seconds. A measurement that reaches a limit ends there, and its
    rate is that of the tasks that were done by then."""

    runs: int
    one_by_one: int
    in_batches: int
    drain: int
    backlogs: tuple[int, ...]
    backlog_drain: int
    """Tasks drained of a long backlog. With a thousand the start of a pod would dominate."""
    memory: int
    idle: float
    latency_samples: int
    rate_limit: float
    fill_limit: float
    """For filling a queue before it is drained; FLEET-Q and the limits are always filled."""


FULL: Final = Sizes(
    runs=5,
    one_by_one=10_000,
    in_batches=50_000,
    drain=50_000,
    backlogs=(1_000, 100_000, 1_000_000),
    backlog_drain=20_000,
    memory=1_000_000,
    idle=20,
    latency_samples=20,
    rate_limit=10,
    fill_limit=90,
)
QUICK: Final = Sizes(
    runs=3,
    one_by_one=3_000,
    in_batches=20_000,
    drain=30_000,
    backlogs=(1_000, 100_000),
    backlog_drain=20_000,
    memory=100_000,
    idle=5,
    latency_samples=5,
    rate_limit=3,
    fill_limit=30,
)
