"""Unique keys: which submissions are stored, and which step stands for the others."""

from __future__ import annotations

from typing import Any

import pytest

from fleet_q.core.errors import UniqueKeyTaken
from fleet_q.core.events import Submitted
from fleet_q.core.ports import Store, SubmitResult
from fleet_q.core.step import Complete, Fail, Release, Submit

from .clock import SECOND, FakeClock
from .helpers import (
    acknowledge,
    at_once,
    claim,
    facts,
    join,
    known,
    orphaned_step,
    recover_all,
    snapshot_of,
)


def keyed(step_id: str, unique_key: str = "key", payload: str = "{}", **options: Any) -> Submit:
    return Submit(step_id, payload, unique=True, unique_key=unique_key, **options)


def stored_as(store: Store, *new: Submit) -> list[str]:
    """The ids of the steps that stand for the submissions."""
    return [result.step_id for result in store.submit(new)]


def test_step_with_unique_key_stands_for_later_submissions(store: Store) -> None:
    assert store.submit([keyed("first")]) == [SubmitResult("first", is_new=True)]
    before = snapshot_of(store)

    assert store.submit([keyed("second", payload='{"n":1}')]) == [
        SubmitResult("first", is_new=False)
    ]

    assert snapshot_of(store) == before


def test_other_keys_and_steps_without_key_are_stored(store: Store) -> None:
    store.submit([keyed("first")])

    assert stored_as(store, keyed("second", "other"), Submit("third", "{}")) == ["second", "third"]


def test_the_first_of_a_batch_stands_for_the_others(store: Store) -> None:
    assert stored_as(store, keyed("a"), keyed("b"), keyed("c", "other")) == ["a", "a", "c"]


def test_replacement_within_a_batch_has_its_own_deadline(store: Store) -> None:
    first = keyed("a", start_by=60 * SECOND)
    second = keyed("b", delay=3_600 * SECOND, on_conflict="replace")
    assert stored_as(store, first, second) == ["a", "a"]
    step = known(store, "a")
    assert (step.start_by_ts, step.available_ts) == (None, step.created_ts + 3_600 * SECOND)


def test_claimed_step_has_its_unique_key(store: Store) -> None:
    join(store)
    store.submit([keyed("first")])
    claim(store)

    assert stored_as(store, keyed("second")) == ["first"]


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
def test_final_step_has_no_unique_key(store: Store, end: str) -> None:
    join(store)
    store.submit([keyed("first")])
    if end == "cancelled":
        store.cancel("first")
    else:
        claim(store, token="token")
        outcome = (
            Complete("first", "token", "null")
            if end == "completed"
            else Fail("first", "token", "Boom", permanent=True)
        )
        acknowledge(store, outcome)

    assert stored_as(store, keyed("second")) == ["second"]


def test_final_step_has_its_unique_key_until_its_time_has_passed(
    store: Store, clock: FakeClock
) -> None:
    store.submit([keyed("first", unique_for=60 * SECOND)])
    store.cancel("first")
    clock.advance(59)

    assert stored_as(store, keyed("second")) == ["first"]

    clock.advance(2)
    assert stored_as(store, keyed("third")) == ["third"]


def test_unique_key_of_active_step_outlasts_its_time(store: Store, clock: FakeClock) -> None:
    store.submit([keyed("first", unique_for=60 * SECOND)])
    clock.advance(61)

    assert stored_as(store, keyed("second")) == ["first"]


def test_retry_release_and_recovery_keep_the_unique_key(store: Store) -> None:
    orphaned_step(store, "first", unique_key="key", max_retries=9)
    recover_all(store)
    assert stored_as(store, keyed("second")) == ["first"]

    claim(store, token="a", incarnation="two")
    acknowledge(store, Fail("first", "a", "Boom"))
    assert stored_as(store, keyed("third")) == ["first"]

    claim(store, token="b", incarnation="two")
    acknowledge(store, Release("first", "b"))
    assert stored_as(store, keyed("fourth")) == ["first"]
    assert known(store, "first").status == "pending"


def test_replayed_step_has_its_unique_key_again(store: Store) -> None:
    store.submit([keyed("first")])
    store.cancel("first")
    store.replay(["first"])

    assert stored_as(store, keyed("second")) == ["first"]


def test_replay_is_allowed_while_another_step_has_the_key(store: Store, clock: FakeClock) -> None:
    store.submit([keyed("first")])
    store.cancel("first")
    clock.advance(1)
    store.submit([keyed("second")])

    assert [step.status for step in store.replay(["first"])] == ["pending"]

    assert stored_as(store, keyed("third")) == ["first"]


def test_replacing_submission_changes_the_pending_step(store: Store, clock: FakeClock) -> None:
    store.submit([keyed("first", payload='{"n":1}', labels='{"a":"1"}', max_retries=5)])
    clock.advance(1)
    new = keyed(
        "second",
        payload='{"n":2,"task_type":"t"}',
        task_type="t",
        priority=7,
        delay=3 * SECOND,
        labels='{"b":"2"}',
        max_retries=1,
        on_conflict="replace",
    )

    assert store.submit([new]) == [SubmitResult("first", is_new=False)]

    step = known(store, "first")
    assert (step.payload, step.task_type, step.priority) == (new.payload, "t", 7)
    assert (step.available_ts, step.labels) == (clock() + 3 * SECOND, '{"b":"2"}')
    assert (step.max_retries, step.status, step.version) == (5, "pending", 2)
    assert facts(store, "first") == ["submitted", "replaced"]
    assert store.step("second") is None


def test_replacing_submission_leaves_a_claimed_step(store: Store) -> None:
    join(store)
    store.submit([keyed("first")])
    claim(store)
    before = snapshot_of(store)

    assert stored_as(store, keyed("second", payload='{"n":2}', on_conflict="replace")) == ["first"]

    assert snapshot_of(store) == before


def test_last_of_a_batch_replaces_the_others(store: Store) -> None:
    batch = [keyed(name, payload=f'{{"n":"{name}"}}', on_conflict="replace") for name in "abc"]

    assert stored_as(store, *batch) == ["a", "a", "a"]

    assert known(store, "a").payload == '{"n":"c"}'


def test_submission_that_allows_no_other_step_stores_nothing(store: Store) -> None:
    store.submit([keyed("first")])
    before = snapshot_of(store)

    with pytest.raises(UniqueKeyTaken, match="step 'first' has the unique key 'key'") as error:
        store.submit([Submit("other", "{}"), keyed("second", on_conflict="error")])

    assert error.value.step_id == "first"
    assert snapshot_of(store) == before


def test_repeated_submission_under_its_own_id_finds_its_own_step(store: Store) -> None:
    again = Submit("first", "{}", unique_key="key", on_conflict="error")
    assert store.submit([again]) == [SubmitResult("first", is_new=True)]

    assert store.submit([again]) == [SubmitResult("first", is_new=False)]


def test_twenty_submissions_of_one_key_at_once_are_one_step(
    store: Store, clients: list[Store]
) -> None:
    results = at_once(
        lambda n: clients[n % len(clients)].submit([keyed(f"step {n}")])[0], range(20)
    )

    assert len({result.step_id for result in results}) == 1
    assert [result.is_new for result in results].count(True) == 1
    submitted = [event for event in store.step_events() if isinstance(event.fact, Submitted)]
    assert len(submitted) == 1
