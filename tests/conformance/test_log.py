"""The log in order of time, page by page."""

from __future__ import annotations

from typing import Any

import pytest

from fleet_q.core.errors import InvalidInput
from fleet_q.core.log import LogEntry, LogFilter
from fleet_q.core.ports import Store
from fleet_q.core.queues import QueueChange
from fleet_q.core.step import Complete, Fail

from .clock import FakeClock
from .helpers import acknowledge, claim, join, submit
from .test_schedules import put


def log_of(store: Store, limit: int = 100, **conditions: Any) -> list[LogEntry]:
    """The entries of all pages."""
    entries: list[LogEntry] = []
    cursor: str | None = None
    while True:
        page = store.log(LogFilter(**conditions), limit, cursor)
        assert len(page.entries) <= limit
        entries += page.entries
        cursor = page.cursor
        if cursor is None:
            return entries


@pytest.fixture
def times(store: Store, clock: FakeClock) -> list[int]:
    """A store in which something happened at each of these times."""
    times = [clock()]
    join(store)
    submit(store, "b", "a", queue="gpu", task_type="load")
    clock.advance(1)
    times.append(clock())
    claim(store, token="one")
    claim(store, token="two")
    clock.advance(1)
    times.append(clock())
    acknowledge(store, Complete("a", "one", "null"), Fail("b", "two", "Boom\nx", permanent=True))
    store.set_queue("gpu", QueueChange(paused=True), "ops@host")
    put(store)
    return times


HAPPENED = [
    (0, "pod", "pod", "joined", "pod"),
    (0, "step", "a", "submitted", None),
    (0, "step", "b", "submitted", None),
    (1, "step", "a", "claimed", "pod"),
    (1, "step", "b", "claimed", "pod"),
    (2, "queue", "gpu", "created", "ops@host"),
    (2, "schedule", "é load", "created", "me"),
    (2, "step", "a", "completed", "pod"),
    (2, "step", "b", "failed", "pod"),
]


def shown(entries: list[LogEntry], times: list[int]) -> list[tuple[Any, ...]]:
    return [(times.index(e.at), e.stream, e.name, e.type, e.by) for e in entries]


@pytest.mark.parametrize("limit", [1, 2, 4, 100])
@pytest.mark.parametrize("newest_first", [False, True])
def test_pages_of_the_log_have_each_event_once_in_order(
    store: Store, times: list[int], limit: int, newest_first: bool
) -> None:
    happened = HAPPENED[::-1] if newest_first else HAPPENED
    assert shown(log_of(store, limit, newest_first=newest_first), times) == happened


def test_log_is_filtered(store: Store, times: list[int]) -> None:
    def places(**conditions: Any) -> list[int]:
        return [HAPPENED.index(e) for e in shown(log_of(store, 2, **conditions), times)]

    assert places(since=times[1], until=times[2]) == [3, 4]
    assert places(by="ops@host") == [5]
    assert places(step_id="b") == [2, 4, 8]
    assert places(step_id="b", newest_first=True) == [8, 4, 2]
    assert places(queue="gpu") == [1, 2, 3, 4, 5, 7, 8]
    assert places(types=("created", "failed")) == [5, 6, 8]
    assert places(streams=("pod", "queue")) == [0, 5]
    assert places(step_id="nobody") == []


def test_entry_of_a_step_has_its_queue_its_type_and_the_error(
    store: Store, times: list[int]
) -> None:
    last = log_of(store)[-1]
    assert (last.version, last.queue, last.task_type, last.error) == (3, "gpu", "load", "Boom\nx")


def test_log_refuses_a_cursor_of_another_list(store: Store, times: list[int]) -> None:
    with pytest.raises(InvalidInput, match="'7 a' is not a cursor"):
        store.log(LogFilter(), 10, "7 a")
