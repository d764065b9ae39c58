"""Helpers of the conformance tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Barrier
from typing import Any, Final, TypeVar

from fleet_q.core.audit import audit
from fleet_q.core.calls import StoreCall, run
from fleet_q.core.cycle import Cycle
from fleet_q.core.leadership import silent_pods
from fleet_q.core.pod import Join, Pod
from fleet_q.core.ports import Orphan, Store, SyncRequest, SyncResult
from fleet_q.core.step import Complete, Fail, Outcome, Recover, Step, Submit

from .clock import SECOND

T = TypeVar("T")

_numbers = count()


WITHOUT_COMMAND: Final = {"rejected", "parents_added"}
"""The events that no command of a store causes: rows of the inbox do, or completions of others."""

EVERY_COLUMN: Final[dict[str, Any]] = {
    "queue": "gpu",
    "task_type": "résumé",
    "key": "customer 7",
    "unique_key": "report of 2026-11-28",
    "unique_for": 60 * SECOND,
    "labels": '{"day":"2026-11-28","with":"\'quotes\' \\\\ é"}',
    "timeout": 90 * SECOND,
    "workflow_id": "nightly-1",
    "spawned_by": "another step",
    "start_by": 3_600 * SECOND,
}
"""Every option of a submission that is only stored."""


def full_submission(step_id: str = "full", **options: Any) -> Submit:
    """A submission with every column set."""
    return Submit(step_id, '{"task_type":"résumé"}', **EVERY_COLUMN, **options)


def submit(store: Store, *step_ids: str, **options: Any) -> None:
    store.submit([Submit(step_id, "{}", **options) for step_id in step_ids])


def join(store: Store, pod_id: str = "pod", incarnation: str = "one") -> SyncResult:
    return store.sync(SyncRequest(pod_id, incarnation, Join(pod_id, incarnation)))


def claim(
    store: Store,
    limit: int = 1,
    token: str | None = None,
    pod_id: str = "pod",
    incarnation: str = "one",
) -> list[str]:
    """The ids of the steps that the pod claimed under ``token``, by default a new one."""
    token = token or f"token {next(_numbers)}"
    result = store.sync(SyncRequest(pod_id, incarnation, claim=limit, claim_token=token))
    return ids(result.claimed)


def acknowledge(store: Store, *outcomes: Outcome, pod_id: str = "pod") -> SyncResult:
    return store.sync(SyncRequest(pod_id, "one", outcomes=outcomes))


def held_step(store: Store, step_id: str = "step", token: str = "token", **options: Any) -> None:
    """Submit a step and let the pod ``pod`` claim it."""
    join(store)
    submit(store, step_id, **options)
    assert claim(store, token=token) == [step_id]


def failed_step(store: Store, step_id: str) -> None:
    """Make a dead letter: the pod ``pod`` fails the step permanently."""
    held_step(store, step_id, token=step_id)
    acknowledge(store, Fail(step_id, step_id, "Boom", permanent=True))


def completed_step(store: Store, step_id: str) -> None:
    held_step(store, step_id, token=step_id)
    acknowledge(store, Complete(step_id, step_id, "null"))


def orphaned_step(store: Store, step_id: str = "step", **options: Any) -> None:
    """Make an orphan: a step held by an incarnation that another one has replaced."""
    held_step(store, step_id, **options)
    join(store, incarnation="two")


def recover_all(store: Store, by: str | None = None) -> list[Step]:
    return store.recover([under_its_claim(orphan) for orphan in store.orphans("", 1_000)], by)


def under_its_claim(orphan: Orphan) -> Recover:
    return Recover(orphan.step_id, orphan.claim_token)


def silent(store: Store, seconds: float) -> list[Pod]:
    """The pods that are silent by the store's clock."""
    fleet = store.pods()
    return silent_pods(fleet.pods, fleet.at, round(seconds * SECOND))


def ids(steps: Sequence[Step | Orphan]) -> list[str]:
    return [step.step_id for step in steps]


def known(store: Store, step_id: str) -> Step:
    step = store.step(step_id)
    assert step is not None
    return step


def facts(store: Store, step_id: str) -> list[str]:
    """The types of a step's events, in order."""
    return [event.fact.type for event in store.history(step_id)]


def snapshot_of(store: Store) -> object:
    """Everything that a store holds, to check whether a call changed it."""
    return list(store.step_events()), store.pods().pods, store.counts()


def assert_sound(store: Store) -> None:
    assert store.rebuild(check=True).equal
    assert audit(store.step_events()).faults == []


def at_once(work: Callable[[T], object], over: Sequence[T]) -> list[Any]:
    """Call ``work`` for each item of ``over``, each in its own thread, all started together.

    Python switches threads as often as possible meanwhile, so that races show.
    """
    barrier = Barrier(len(over))
    old_interval = sys.getswitchinterval()

    def begin(item: T) -> object:
        barrier.wait()
        return work(item)

    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(len(over)) as threads:
            return list(threads.map(begin, over))
    finally:
        sys.setswitchinterval(old_interval)


def call_by_call(store: Store, program: Generator[StoreCall | None, Any, object]) -> Iterator[None]:
    """Run a program on ``store``, pausing after each of its calls."""
    cycle = Cycle(program, lambda: 0.0)
    while not cycle.is_over:
        run(store, cycle.go_on())
        yield
