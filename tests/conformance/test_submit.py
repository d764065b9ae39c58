"""Submitting: all of a batch or nothing, and the same step once."""

from __future__ import annotations

import pytest

from fleet_q.core.errors import StepConflict, StoreError
from fleet_q.core.ports import Store, SubmitResult
from fleet_q.core.step import AT_ONCE, Step, Submit
from tests.submitted import are_new

from .clock import SECOND, FakeClock
from .helpers import claim, full_submission, held_step, join, known, snapshot_of, submit


def test_new_step_is_pending_with_the_submitted_values(store: Store, clock: FakeClock) -> None:
    assert are_new(store.submit([Submit("step", '{"n":1}', 7, 2, 3 * SECOND)])) == [True]

    assert store.step("step") == Step(
        step_id="step",
        status="pending",
        priority=7,
        payload='{"n":1}',
        retry_count=0,
        max_retries=2,
        created_ts=clock(),
        last_update_ts=clock(),
        available_ts=clock() + 3 * SECOND,
    )


@pytest.mark.parametrize("unique", [True, False], ids=["unique", "by its own id"])
def test_new_step_has_queue_type_keys_labels_and_timeout(
    store: Store, clock: FakeClock, unique: bool
) -> None:
    new = full_submission(unique=unique)
    store.submit([new, Submit("plain", "{}", unique=unique)])

    step = known(store, "full")
    assert (step.queue, step.task_type, step.key) == (new.queue, new.task_type, new.key)
    assert (step.unique_key, step.unique_until_ts) == (new.unique_key, clock() + 60 * SECOND)
    assert (step.labels, step.timeout) == (new.labels, new.timeout)
    plain = known(store, "plain")
    assert (plain.queue, plain.task_type) == ("default", "")
    assert (plain.key, plain.unique_key, plain.unique_until_ts) == (None, None, None)
    assert (plain.labels, plain.timeout) == (None, None)


def test_claimed_step_has_every_column_of_the_submission(store: Store) -> None:
    join(store)
    store.submit([full_submission()])
    before = known(store, "full")
    assert claim(store, token="token") == ["full"]
    after = known(store, "full")
    for column in ("queue", "task_type", "key", "unique_key", "unique_until_ts", "labels"):
        assert getattr(after, column) == getattr(before, column) is not None
    assert store.rebuild(check=True).equal


@pytest.mark.parametrize("is_plain", [True, False], ids=["without options", "with options"])
def test_each_step_of_a_large_batch_has_its_own_values(
    store: Store, clock: FakeClock, is_plain: bool
) -> None:
    labels = None if is_plain else '{"a":"b"}'
    new = [
        Submit(
            f"s{n:02}",
            f'{{"n":{n}}}',
            n % 7,
            n,
            n % 3,
            unique=True,
            task_type=f"t{n}",
            labels=labels,
        )
        for n in range(50)
    ]
    assert store.submit(new) == [SubmitResult(item.step_id, is_new=True) for item in new]

    for n, item in enumerate(new):
        step = known(store, item.step_id)
        assert (step.payload, step.priority, step.max_retries) == (f'{{"n":{n}}}', n % 7, n)
        assert (step.task_type, step.labels) == (f"t{n}", labels)
        assert step.available_ts == (clock() + n % 3 if n % 3 else AT_ONCE)
    assert store.rebuild(check=True).equal


def test_empty_batch_submits_nothing(store: Store) -> None:
    assert store.submit([]) == []


def test_log_has_the_pod_that_submitted(store: Store) -> None:
    store.submit([Submit("inside", "{}")], "pod")
    store.submit([Submit("outside", "{}")])

    assert [event.pod_id for event in store.step_events()] == ["pod", None]


def test_submitting_again_changes_nothing(store: Store, clock: FakeClock) -> None:
    store.submit([Submit("step", '{"a":1,"b":2}', priority=1)])
    before = snapshot_of(store)
    clock.advance(1)

    assert are_new(
        store.submit([Submit("step", '{"b": 2, "a": 1}', priority=9, delay=SECOND)])
    ) == [False]

    assert snapshot_of(store) == before


def test_submitting_again_leaves_a_claim_alone(store: Store) -> None:
    held_step(store)

    assert are_new(store.submit([Submit("step", "{}"), Submit("new", "{}")])) == [False, True]

    assert known(store, "step").claim_token == "token"


def test_the_same_step_twice_in_a_batch_is_new_once(store: Store) -> None:
    assert are_new(store.submit([Submit("step", "{}"), Submit("step", "{}")])) == [True, False]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("{}", '{"a":null}'),
        ('{"a":1}', '{"a":2}'),
        ('{"a":1}', '{"a":"1"}'),
        ('{"a":1}', '{"a":true}'),
        ('{"a":false}', '{"a":0}'),
        ('{"a":[1,2]}', '{"a":[2,1]}'),
        ('{"a":9007199254740993}', '{"a":9007199254740992}'),
        (f'{{"a":{10**40}}}', f'{{"a":{10**40 + 1}}}'),
    ],
)
def test_another_payload_under_a_taken_id_is_a_conflict(
    store: Store, first: str, second: str
) -> None:
    store.submit([Submit("step", first)])

    with pytest.raises(StepConflict, match="'step'"):
        store.submit([Submit("step", second)])


def test_a_batch_with_one_conflict_stores_nothing(store: Store) -> None:
    submit(store, "taken")
    before = snapshot_of(store)

    with pytest.raises(StepConflict):
        store.submit([Submit("one", "{}"), Submit("taken", '{"n":1}'), Submit("two", "{}")])

    assert snapshot_of(store) == before
    assert store.step("one") is None


def test_a_batch_that_contradicts_itself_stores_nothing(store: Store) -> None:
    with pytest.raises(StepConflict):
        store.submit([Submit("step", "{}"), Submit("step", '{"n":1}')])

    assert store.step("step") is None


def test_taken_id_that_is_declared_unique_is_an_error(store: Store) -> None:
    assert are_new(store.submit([Submit("step", "{}", unique=True)])) == [True]
    before = snapshot_of(store)

    with pytest.raises(StoreError, match="step"):
        store.submit([Submit("other", "{}"), Submit("step", "{}", unique=True)])

    assert snapshot_of(store) == before
