"""A row of the inbox becomes a step: exactly once, in order, and whatever it holds."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from fleet_q.core.errors import IncarnationEnded
from fleet_q.core.ports import Store, SyncRequest

from .clock import SECOND, FakeClock
from .helpers import at_once, claim, facts, ids, join, known, submit
from .stores import StoreKind

Insert = Callable[..., None]


@pytest.fixture
def insert(kind: StoreKind, store: Store, tmp_path: Path) -> Insert:
    """Inserts rows, in one transaction."""
    if kind.insert is None:
        pytest.skip("this kind of store has no inbox")
    insert_rows = kind.insert
    return lambda *rows: insert_rows(tmp_path, store, rows)


def dead_letters(store: Store) -> list[tuple[dict[str, Any], str]]:
    """The rows that dead letters hold, and their errors."""
    steps = store.dead_letters(1_000).steps
    return [(msgspec.json.decode(s.payload)["step_inbox"], str(s.error)) for s in steps]


def test_row_becomes_a_step_with_all_its_columns(store: Store, insert: Insert) -> None:
    insert(
        {
            "payload": '{"n": 1}',
            "task_type": "résumé",
            "queue": "gpu",
            "priority": 7,
            "key": "c7",
            "unique_key": "u",
            "unique_for": 60.0,
            "labels": '{"day": "1"}',
            "step_id": "step",
            "max_retries": 0,
            "timeout": 2.5,
        }
    )
    join(store)
    assert claim(store) == ["step"]
    step = known(store, "step")
    assert json.loads(step.payload) == {"n": 1, "task_type": "résumé"}
    assert (step.task_type, step.queue, step.priority, step.key) == ("résumé", "gpu", 7, "c7")
    assert (step.unique_key, step.unique_until_ts) == ("u", step.created_ts + 60 * SECOND)
    assert (step.labels, step.max_retries, step.timeout) == ('{"day":"1"}', 0, 2_500_000)
    assert facts(store, "step") == ["submitted", "claimed"]


def test_row_without_columns_is_a_step_with_all_defaults(store: Store, insert: Insert) -> None:
    insert({"payload": None})
    join(store)
    (step_id,) = claim(store)
    step = known(store, step_id)
    assert (step.payload, step.queue, step.priority, step.max_retries) == ("{}", "default", 0, 3)


def test_rows_are_taken_in_once_in_the_order_of_their_insertion(
    store: Store, insert: Insert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet_q.core.inbox.INBOX_BATCH", 3)
    insert(*({"step_id": f"{n:02}", "payload": json.dumps({"n": n})} for n in range(10)))
    join(store)
    claimed: list[str] = []
    while more := claim(store, 2):
        claimed += more
    assert claimed == [f"{n:02}" for n in range(10)]
    assert claim(store, 2) == []


def test_sync_says_that_more_may_be_claimed_while_rows_are_left(
    store: Store, insert: Insert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet_q.core.inbox.INBOX_BATCH", 2)
    insert(*({"payload": "nonsense"} for _ in range(3)))
    join(store)
    results = [store.sync(SyncRequest("pod", "one", claim=1, claim_token=t)) for t in "ab"]
    assert [result.more for result in results] == [True, False]
    assert len(dead_letters(store)) == 3


def test_batch_is_bounded_by_bytes_but_takes_a_row_at_least(
    store: Store, insert: Insert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet_q.core.inbox.INBOX_BATCH_BYTES", 5)
    insert(*({"step_id": step_id, "payload": '{"n":1}'} for step_id in ("a", "b")))
    join(store)
    assert claim(store, 5) == ["a"]
    assert claim(store, 5) == ["b"]


INVALID: Final[list[tuple[dict[str, Any], str]]] = [
    ({"payload": "nonsense"}, "payload is not JSON: Expecting value"),
    ({"payload": "[1]"}, "payload must be a JSON object"),
    ({"payload": '{"n": NaN}'}, "NaN is no JSON"),
    ({"payload": "[" * 100_000}, "payload is not JSON"),
    ({"payload": '{"a": "\\ud800"}'}, "text that is not valid Unicode"),
    ({"payload": '"' + "x" * 1_100_000 + '"'}, "the limit is 1048576"),
    ({"payload": '{"task_type": "a"}', "task_type": "b"}, "task_type is 'b', but the payload has"),
    ({"queue": "a,b"}, "queue must have no comma"),
    ({"priority": 2**40}, "priority must be between"),
    ({"key": ""}, "key must be a text of 1 to 200 characters"),
    ({"unique_for": 5.0}, "unique_for needs a unique_key"),
    ({"labels": '{"a": 1}'}, "label 'a' must be a text"),
    ({"labels": "no"}, "labels is not JSON"),
    ({"delay": -1.0}, "delay must be between"),
    ({"delay": 1.0, "available_ts": 5}, "delay and available_ts exclude each other"),
    ({"step_id": "x" * 201}, "step_id must be a text of 1 to 200 characters"),
    ({"max_retries": -1}, "max_retries must be between"),
    ({"timeout": 0.0}, "timeout must be more than 0"),
    ({"delay": math.inf}, "delay must be between"),
    ({"timeout": -math.inf}, "timeout must be between"),
    ({"unique_key": "u", "unique_for": -math.inf}, "unique_for must be between"),
]


@pytest.mark.parametrize(("row", "error"), INVALID)
def test_invalid_row_is_a_dead_letter_and_stops_no_other(
    store: Store, insert: Insert, row: dict[str, Any], error: str
) -> None:
    insert({"step_id": "before"}, row, {"step_id": "last"})
    join(store)
    assert claim(store, 5) == ["before", "last"]
    ((held, message),) = dead_letters(store)
    assert message.startswith("invalid row of STEP_INBOX: ")
    assert error in message
    assert held.keys() == {"row_id", *row}
    for column, value in row.items():
        shown = held[column]
        assert shown in (value, str(value)) or value.startswith(shown.removesuffix("..."))
    (step,) = store.dead_letters(1).steps
    assert facts(store, step.step_id) == ["submitted", "rejected"]


def test_row_with_the_id_of_another_step_is_a_dead_letter(store: Store, insert: Insert) -> None:
    submit(store, "taken")
    insert({"step_id": "taken", "payload": '{"n": 1}'}, {"step_id": "taken", "payload": "{}"})
    join(store)
    assert claim(store, 5) == ["taken"]
    ((held, error),) = dead_letters(store)
    assert held["step_id"] == "taken"
    assert "step 'taken' already exists with a different payload" in error
    assert store.backlog().pending == 0


def test_delay_runs_from_when_the_row_is_taken_in(
    store: Store, insert: Insert, clock: FakeClock
) -> None:
    insert({"step_id": "a", "delay": 5.0}, {"step_id": "b", "available_ts": clock() + 8 * SECOND})
    join(store)
    clock.advance(2)
    result = store.sync(SyncRequest("pod", "one", claim=1, claim_token="t"))
    assert (result.claimed, result.next_due) == ((), clock() + 5 * SECOND)
    clock.advance(5)
    assert claim(store, 5) == ["a"]
    clock.advance(1)
    assert claim(store, 5) == ["b"]


def test_sync_that_is_rejected_takes_in_nothing(store: Store, insert: Insert) -> None:
    join(store)
    join(store, incarnation="two")
    insert({"step_id": "step"})
    with pytest.raises(IncarnationEnded):
        claim(store)
    assert claim(store, incarnation="two") == ["step"]


def test_change_counter_counts_rows_of_the_inbox(store: Store, insert: Insert) -> None:
    before = store.change_counter()
    insert({"step_id": "step"})
    assert store.change_counter() != before


def test_pod_that_claims_only_if_it_may_finds_rows_of_the_inbox(
    store: Store, insert: Insert
) -> None:
    join(store)
    insert({"step_id": "step"})
    request = SyncRequest("pod", "one", claim=1, claim_token="t", only_if_claimable=True)
    assert ids(store.sync(request).claimed) == ["step"]


def test_row_is_a_pending_step_before_it_is_taken_in(store: Store, insert: Insert) -> None:
    insert({"step_id": "step", "priority": 4}, {"step_id": "wrong", "priority": 2**40})
    step = known(store, "step")
    assert (step.status, step.priority, step.version) == ("pending", 4, 0)
    assert store.step("wrong") is None
    assert (store.parents("step"), store.parents("wrong")) == ([], None)
    assert store.step("other") is None
    backlog = store.backlog()
    assert (backlog.pending, backlog.claimable, backlog.oldest) == (2, 2, backlog.at)
    assert store.queue_stats(SECOND).inbox == 2


def test_clients_that_claim_at_once_take_in_every_row_once(
    clients: list[Store], insert: Insert
) -> None:
    numbers = range(len(clients))
    for number in numbers:
        join(clients[number], f"pod {number}")
    insert(*({"payload": json.dumps({"n": n})} for n in range(40)))
    claimed = at_once(lambda number: claim(clients[number], 40, None, f"pod {number}"), numbers)
    steps = [step_id for step_ids in claimed for step_id in step_ids]
    assert sorted(json.loads(known(clients[0], s).payload)["n"] for s in steps) == [*range(40)]
