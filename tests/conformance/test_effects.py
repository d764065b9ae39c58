"""Every event changes a step on every store as ``evolve`` does.

A store changes many steps by one statement of its own, without calling ``evolve``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from fleet_q.core.lifecycle import EFFECTS
from fleet_q.core.ports import Store, SyncRequest
from fleet_q.core.step import (
    Complete,
    Fail,
    Release,
    Reprioritize,
    SaveCheckpoint,
    Snooze,
    Submit,
    evolve,
)

from .clock import SECOND, FakeClock
from .helpers import (
    EVERY_COLUMN,
    WITHOUT_COMMAND,
    acknowledge,
    claim,
    full_submission,
    join,
    known,
    recover_all,
    submit,
)

TOKEN: Final = "token"


def retried_step(store: Store, clock: FakeClock, max_retries: int = 3) -> None:
    """Make a pending step in which every column that a failure changes has been changed."""
    join(store)
    submit(store, "step", priority=2, max_retries=max_retries, delay=SECOND, **EVERY_COLUMN)
    clock.advance(2)
    assert claim(store, token="first") == ["step"]
    acknowledge(store, Fail("step", "first", "Boom", "Traceback", retry_delay=SECOND))
    clock.advance(3)


def claimed_step(store: Store, clock: FakeClock, max_retries: int = 3) -> None:
    retried_step(store, clock, max_retries)
    assert claim(store, token=TOKEN) == ["step"]
    clock.advance(1)


def failed_step(store: Store, clock: FakeClock) -> None:
    claimed_step(store, clock)
    acknowledge(store, Fail("step", TOKEN, "Bang", "Traceback", permanent=True))


def cancelled_step(store: Store, clock: FakeClock) -> None:
    claimed_step(store, clock)
    store.cancel("step")


def step_on_its_last_try(store: Store, clock: FakeClock) -> None:
    claimed_step(store, clock, max_retries=1)


def orphaned_step(store: Store, clock: FakeClock) -> None:
    claimed_step(store, clock)
    join(store, incarnation="two")


def orphan_on_its_last_try(store: Store, clock: FakeClock) -> None:
    step_on_its_last_try(store, clock)
    join(store, incarnation="two")


def claim_with_prefetch(store: Store) -> None:
    """Claim two steps, one of which must not be prefetched, so that the store has to choose."""
    submit(store, "last", max_retries=0)
    request = SyncRequest("pod", "one", claim=2, claim_token=TOKEN, prefetch=1)
    assert [step.step_id for step in store.sync(request).claimed] == ["step"]


def complete_beside_a_failure(store: Store) -> None:
    acknowledge(store, Complete("step", TOKEN, '{"n": 1}'), Fail("other", "none", "Boom"))


def step_after_a_parent(store: Store, clock: FakeClock) -> None:
    """Make a waiting step, and claim its parent."""
    submit(store, "parent", priority=9)
    submit(store, "step", parents='{"parent":"success"}', delay=SECOND, **EVERY_COLUMN)
    join(store)
    assert claim(store, token="of the parent") == ["parent"]
    clock.advance(3)


def failed_step_after_a_parent(store: Store, clock: FakeClock) -> None:
    """Make a step that failed, as its parent did before."""
    submit(store, "parent", priority=9, max_retries=0)
    submit(store, "step", parents='{"parent":"finished"}', max_retries=3, **EVERY_COLUMN)
    join(store)
    assert claim(store, token="of the parent") == ["parent"]
    acknowledge(store, Fail("parent", "of the parent", "Boom"))
    assert claim(store, token=TOKEN) == ["step"]
    acknowledge(store, Fail("step", TOKEN, "Bang", "Traceback", permanent=True))


def cancelled_with_its_parent(store: Store, clock: FakeClock) -> None:
    step_after_a_parent(store, clock)
    store.cancel("parent")


def save(store: Store) -> None:
    version = known(store, "step").version
    store.save_checkpoint(SaveCheckpoint("step", TOKEN, '{"saved":1}', version), "pod")


def failed_step_with_checkpoint(store: Store, clock: FakeClock) -> None:
    claimed_step(store, clock)
    save(store)
    acknowledge(store, Fail("step", TOKEN, "Bang", "Traceback", permanent=True))


def pending_step_with_checkpoint(store: Store, clock: FakeClock) -> None:
    claimed_step(store, clock)
    save(store)
    acknowledge(store, Release("step", TOKEN))


Make = Callable[[Store, FakeClock], None]
Act = Callable[[Store], object]

CASES: Final[dict[str, tuple[Make, Act, str]]] = {
    "claim": (retried_step, claim, "claimed"),
    "claim with prefetch": (retried_step, claim_with_prefetch, "claimed"),
    "complete": (
        claimed_step,
        lambda store: acknowledge(store, Complete("step", TOKEN, '{"n": 1}')),
        "completed",
    ),
    "complete beside a failure": (claimed_step, complete_beside_a_failure, "completed"),
    "fail": (
        claimed_step,
        lambda store: acknowledge(store, Fail("step", TOKEN, "Bang", retry_delay=SECOND)),
        "retried",
    ),
    "fail without delay": (
        claimed_step,
        lambda store: acknowledge(store, Fail("step", TOKEN, "Bang", "Traceback")),
        "retried",
    ),
    "fail permanently": (
        claimed_step,
        lambda store: acknowledge(store, Fail("step", TOKEN, "Bang", permanent=True)),
        "failed",
    ),
    "fail on the last try": (
        step_on_its_last_try,
        lambda store: acknowledge(store, Fail("step", TOKEN, "Bang", "Traceback")),
        "failed",
    ),
    "release": (
        claimed_step,
        lambda store: acknowledge(store, Release("step", TOKEN)),
        "released",
    ),
    "snooze": (
        claimed_step,
        lambda store: acknowledge(store, Snooze("step", TOKEN, retry_delay=SECOND)),
        "snoozed",
    ),
    "recover": (orphaned_step, recover_all, "recovered"),
    "recover on the last try": (orphan_on_its_last_try, recover_all, "failed"),
    "cancel a pending step": (retried_step, lambda store: store.cancel("step"), "cancelled"),
    "cancel a claimed step": (claimed_step, lambda store: store.cancel("step"), "cancelled"),
    "reprioritize": (
        retried_step,
        lambda store: store.change_allowed([Reprioritize("step", 7)]),
        "reprioritized",
    ),
    "replace": (
        retried_step,
        lambda store: store.submit(
            [Submit("later", "[1]", unique_key=EVERY_COLUMN["unique_key"], on_conflict="replace")]
        ),
        "replaced",
    ),
    "replay a failed step": (failed_step, lambda store: store.replay(["step"]), "replayed"),
    "replay a cancelled step": (cancelled_step, lambda store: store.replay(["step"]), "replayed"),
    "save": (claimed_step, save, "checkpointed"),
    "replay with a checkpoint": (
        failed_step_with_checkpoint,
        lambda store: store.replay(["step"]),
        "replayed",
    ),
    "replace with a checkpoint": (
        pending_step_with_checkpoint,
        lambda store: store.submit(
            [Submit("later", "[1]", unique_key=EVERY_COLUMN["unique_key"], on_conflict="replace")]
        ),
        "replaced",
    ),
}

WITH_PARENTS: Final[dict[str, tuple[Make, Act, str]]] = {
    "complete its parent": (
        step_after_a_parent,
        lambda store: acknowledge(store, Complete("parent", "of the parent", "1")),
        "ready",
    ),
    "complete its parent beside a failure": (
        step_after_a_parent,
        lambda store: acknowledge(
            store, Complete("parent", "of the parent", "1"), Fail("other", "none", "Boom")
        ),
        "ready",
    ),
    "fail its parent": (
        step_after_a_parent,
        lambda store: acknowledge(store, Fail("parent", "of the parent", "Boom", permanent=True)),
        "cancelled",
    ),
    "replay it with its parent": (
        failed_step_after_a_parent,
        lambda store: store.replay(["step", "parent"]),
        "restored",
    ),
    "replay its parent": (
        cancelled_with_its_parent,
        lambda store: store.replay(["parent"]),
        "restored",
    ),
}
"""The cases of steps that wait for others."""


@pytest.mark.parametrize("case", [*CASES, *WITH_PARENTS])
def test_event_changes_the_row_as_evolve_does(store: Store, clock: FakeClock, case: str) -> None:
    make, act, event_type = {**CASES, **WITH_PARENTS}[case]
    make(store, clock)
    before = known(store, "step")
    act(store)
    event = store.history("step")[-1]
    assert (event.fact.type, event.version) == (event_type, before.version + 1)
    assert known(store, "step") == evolve(before, event)


@pytest.mark.parametrize("unique", [True, False], ids=["unique", "by its own id"])
def test_submission_creates_the_row_as_evolve_does(store: Store, unique: bool) -> None:
    payload = '{"a": [1, "é"]}'
    store.submit([Submit("step", payload, -1, 7, SECOND, unique), Submit("at once", "{}")], "pod")
    store.submit([full_submission(unique=unique)])
    for step_id in ("step", "at once", "full"):
        (event,) = store.history(step_id)
        assert known(store, step_id) == evolve(None, event)
    step = known(store, "step")
    assert (step.payload, step.priority, step.max_retries) == (payload, -1, 7)


def test_every_effect_has_a_case() -> None:
    cases = [*CASES.values(), *WITH_PARENTS.values()]
    assert {event_type for _, _, event_type in cases} == set(EFFECTS) - WITHOUT_COMMAND
