"""How long a claim takes with many steps in front of it that it may not take.

``python -m tests.benchmarks.claims`` measures it on SQLite, and prints how much longer than without
them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated, Any, Final, NamedTuple

import typer

from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.core.pod import Join
from fleet_q.core.ports import Store, SyncRequest
from fleet_q.core.queues import QueueChange
from fleet_q.core.routing import EVERYWHERE, Routes
from fleet_q.core.step import Complete, Submit

STEPS_IN_FRONT: Final = 100_000
PER_CLAIM: Final = 8
CLAIMS: Final = 50
BATCH: Final = 1_000


class Case(NamedTuple):
    """Steps that wait in front, all of higher priority, and what lets none of them be claimed."""

    name: str
    step: dict[str, Any]
    limits: QueueChange | None = None
    routes: Routes = EVERYWHERE


CASES: Final = (
    Case("a queue that is another pod's", {"queue": "other"}, routes=Routes(queues=("own",))),
    Case(
        "a task type that the pod does not know",
        {"queue": "own", "task_type": "unknown"},
        routes=Routes(task_types=("",)),
    ),
    Case("a queue that is paused", {"queue": "blocked"}, QueueChange(paused=True)),
    Case("a queue at its limit", {"queue": "blocked"}, QueueChange(max_running=1)),
    Case(
        "a key at its limit, in a queue with other keys",
        {"queue": "own", "key": "blocked"},
        QueueChange(max_running_per_key=1),
    ),
)


class Taken(NamedTuple):
    """Milliseconds that a claim took, without steps in front and with them, median of many."""

    case: str
    without: float
    behind: float

    @property
    def ratio(self) -> float:
        return self.behind / self.without


def measure(folder: Path, case: Case, in_front: int, claims: int = CLAIMS) -> Taken:
    """Claim from two stores in turn, of which one has steps in front."""
    stores = {n: SqliteStore(folder / f"{case.name}-{n}.db") for n in (0, in_front)}
    try:
        times = _times([_prepared(stores[n], case, n, claims) for n in stores], claims)
    finally:
        for store in stores.values():
            store.close()
    return Taken(case.name, *(median(taken) * 1_000 for taken in times))


def _prepared(store: Store, case: Case, in_front: int, claims: int) -> Callable[[], float]:
    """Fill a store; returns a function that claims once and returns the seconds taken."""
    numbers = count()
    store.sync(SyncRequest("pod", "one", Join("pod", "one")))
    first = [Submit(f"in-front-{n:06}", "{}", 5, unique=True, **case.step) for n in range(in_front)]
    for begin in range(0, in_front, BATCH):
        store.submit(first[begin : begin + BATCH])
    if in_front and case.limits is not None and not case.limits.paused:
        held = store.sync(SyncRequest("pod", "one", claim=1, claim_token="held"))
        assert len(held.claimed) == 1
    if case.limits is not None:
        store.set_queue(str(case.step["queue"]), case.limits)
    keys = (f"key-{n % (2 * PER_CLAIM)}" for n in count())
    store.submit(
        [
            Submit(f"step-{n:06}", "{}", unique=True, queue="own", key=next(keys))
            for n in range((claims + 1) * PER_CLAIM)
        ]
    )

    def claim() -> float:
        token = f"token-{next(numbers)}"
        request = SyncRequest("pod", "one", claim=PER_CLAIM, claim_token=token, routes=case.routes)
        began = perf_counter()
        claimed = store.sync(request).claimed
        took = perf_counter() - began
        assert len(claimed) == PER_CLAIM
        assert all(step.priority == 0 for step in claimed)
        outcomes = tuple(Complete(step.step_id, token, "1") for step in claimed)
        store.sync(SyncRequest("pod", "one", outcomes=outcomes))
        return took

    return claim


def _times(claims: Sequence[Callable[[], float]], rounds: int) -> list[list[float]]:
    times: list[list[float]] = [[] for _ in claims]
    for _ in range(rounds):
        for taken, claim in zip(times, claims, strict=True):
            taken.append(claim())
    return times


def main(
    in_front: Annotated[int, typer.Option(help="steps in front of the claim")] = STEPS_IN_FRONT,
) -> None:
    """Measure claims on SQLite behind steps that may not be claimed."""
    with tempfile.TemporaryDirectory(prefix="fleet-q-claims-") as folder:
        print(f"a claim of {PER_CLAIM} steps behind {in_front} that it may not take:")
        for case in CASES:
            taken = measure(Path(folder), case, in_front)
            print(
                f"{case.name:50} {taken.without:6.2f} ms without, {taken.behind:6.2f} ms behind"
                f" them, x {taken.ratio:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    typer.run(main)
