"""Queues under control: the history of their limits, and how much room they have."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_q.core.errors import CorruptLog, InvalidInput
from fleet_q.core.queues import (
    MOST_RUNNING,
    Queue,
    QueueChange,
    QueueEvent,
    QueueRoom,
    after_event,
    change_queue,
    checked,
    fold_queue,
)
from fleet_q.core.rate import LONGEST_PERIOD, MOST_TOKENS, Rate

SECOND = 1_000_000


def changed(row: Queue | None, at: int = 0, **values: object) -> tuple[QueueEvent, Queue]:
    change = change_queue(row, "q", QueueChange(**values), at, "someone")  # type: ignore[arg-type]
    assert change is not None
    return change


def test_first_change_creates_the_queue() -> None:
    event, queue = changed(None, at=7, max_running=3)
    assert (event.type, event.version, event.event_ts, event.changed_by) == (
        "created",
        1,
        7,
        "someone",
    )
    assert queue == Queue("q", max_running=3, version=1, last_update_ts=7)


def test_events_tell_pause_and_resume_from_other_changes() -> None:
    _, queue = changed(None, max_running=3)
    paused, queue = changed(queue, paused=True)
    resumed, queue = changed(queue, paused=False)
    both, queue = changed(queue, paused=True, max_running=None)
    assert [paused.type, resumed.type, both.type] == ["paused", "resumed", "changed"]
    assert (queue.paused, queue.max_running, queue.version) == (True, None, 4)


def test_change_to_the_same_limits_is_no_event() -> None:
    _, queue = changed(None, rate=Rate(5, SECOND))
    assert change_queue(queue, "q", QueueChange(rate=Rate(5, SECOND)), 9, None) is None
    assert change_queue(None, "q", QueueChange(paused=False), 9, None) is None


def test_queue_is_its_folded_history() -> None:
    first, queue = changed(None, at=1, rate=Rate(5, SECOND))
    second, queue = changed(queue, at=2, max_running_per_key=1)
    assert fold_queue([first, second]) == queue
    with pytest.raises(CorruptLog):
        after_event(None, second)


@pytest.mark.parametrize("value", [0, -1, 2**31, True, 1.5])
def test_invalid_number_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match="max_running must be a whole number"):
        checked(QueueChange(max_running=value))  # type: ignore[arg-type]


def test_room_is_what_is_not_claimed() -> None:
    room = QueueRoom(Queue("q", max_running=3), {"a": 1, None: 1}, at=0)
    assert room.steps == 1
    assert room.take(None)
    assert not room.take("a")


def test_room_of_a_key_counts_only_steps_with_that_key() -> None:
    room = QueueRoom(Queue("q", max_running_per_key=2), {"a": 1, "b": 2, None: 5}, at=0)
    assert [room.of_key("a"), room.of_key("b"), room.of_key("c")] == [1, 0, 2]
    assert room.of_key(None) == MOST_RUNNING
    assert room.take("a")
    assert not room.take("a")


def test_paused_queue_has_no_room() -> None:
    assert QueueRoom(Queue("q", paused=True), {}, at=0).steps == 0


def test_more_claimed_than_a_new_limit_allows_leaves_no_room() -> None:
    assert QueueRoom(Queue("q", max_running=1), {None: 4}, at=0).steps == 0


def test_new_rate_begins_with_all_its_tokens() -> None:
    _, queue = changed(None, at=5, rate=Rate(3, SECOND))
    assert QueueRoom(queue, {}, at=5).steps == 3


def test_room_names_the_time_of_the_next_token() -> None:
    _, queue = changed(None, rate=Rate(3, SECOND))
    room = QueueRoom(queue, {}, at=0)
    assert room.next_token() is None
    assert [room.take(None) for _ in range(4)] == [True, True, True, False]
    assert room.next_token() == 333_334
    emptied = room.after_claim(3)
    assert emptied is not None
    assert QueueRoom(emptied, {}, at=333_333).steps == 0
    assert QueueRoom(emptied, {}, at=333_334).steps == 1


def test_bucket_does_not_refill_while_the_clock_is_set_back() -> None:
    queue = QueueRoom(changed(None, rate=Rate(1, SECOND))[1], {}, at=10 * SECOND).after_claim(1)
    assert queue is not None
    room = QueueRoom(queue, {}, at=0)
    assert room.steps == 0
    assert room.next_token() == SECOND


def test_bucket_refills_from_the_new_time_after_the_clock_was_set_back() -> None:
    queue = QueueRoom(changed(None, rate=Rate(1, SECOND))[1], {}, at=10 * SECOND).after_claim(1)
    assert queue is not None
    written = QueueRoom(queue, {}, at=0).after_claim(0)
    assert written is not None
    assert QueueRoom(written, {}, at=SECOND).steps == 1


@given(
    count=st.integers(1, MOST_TOKENS),
    period=st.integers(SECOND, LONGEST_PERIOD),
    times=st.lists(st.tuples(st.integers(0, LONGEST_PERIOD), st.integers(0, 5)), max_size=30),
)
def test_bucket_is_exact_however_often_it_is_read(
    count: int, period: int, times: list[tuple[int, int]]
) -> None:
    _, queue = changed(None, rate=Rate(count, period))
    level, now = Fraction(count), 0
    for elapsed, wanted in times:
        now += elapsed
        level = min(Fraction(count), level + Fraction(elapsed * count, period))
        room = QueueRoom(queue, {}, at=now)
        assert room.steps == int(level)
        taken = sum(room.take(None) for _ in range(wanted))
        level -= taken
        queue = room.after_claim(taken) or queue
        assert queue.tokens < 2**63
