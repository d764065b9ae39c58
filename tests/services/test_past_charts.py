"""Counts, charts and lanes of a fleet's past."""

from __future__ import annotations

import threading

import pytest

from fleet_q.adapters.memory import MemoryStore
from fleet_q.core.activity import MINUTE, ActivityPage
from fleet_q.core.lifecycle import FINAL
from fleet_q.core.log import LogFilter
from fleet_q.core.pod import Leave
from fleet_q.core.ports import SyncRequest
from fleet_q.core.queue_stats import QueueStats
from fleet_q.core.step import Complete, Fail, Submit
from fleet_q.services.past import NeedsIndex, NotReady, Past, timeline
from fleet_q.services.past.blocks import HOUR, MOST_ERRORS
from tests.conformance.clock import SECOND, FakeClock
from tests.conformance.helpers import acknowledge, claim, completed_step, join, submit
from tests.waiting import LIMIT, wait_until


@pytest.fixture
def clock() -> FakeClock:
    clock = FakeClock()
    clock.step(-(clock() % HOUR) / SECOND)
    return clock


@pytest.fixture
def store(clock: FakeClock) -> MemoryStore:
    return MemoryStore(clock)


def test_charts_count_events_and_statuses_by_intervals(
    store: MemoryStore, clock: FakeClock
) -> None:
    begin = clock()
    join(store)
    submit(store, "a", "b", "c", task_type="load")
    clock.advance(90)
    claim(store, 2, token="one")
    clock.advance(10)
    acknowledge(store, Complete("a", "one", "1"), Fail("b", "one", "ValueError: 7"))
    clock.advance(80)
    charts = Past(store, kept=0, patience=LIMIT).charts(begin, clock(), points=3)
    assert (charts.since, charts.width, charts.until) == (begin, MINUTE, begin + 3 * MINUTE)
    assert charts.times == [begin + MINUTE, begin + 2 * MINUTE, begin + 3 * MINUTE]
    assert charts.statuses["pending"] == [3, 2, 2]
    assert charts.statuses["completed"] == [0, 1, 1]
    assert charts.events["submitted"] == [3, 0, 0]
    assert charts.events["retried"] == [0, 1, 0]
    assert charts.waits.count == charts.runs.count == 2
    assert charts.waits.p50 == pytest.approx(90, rel=0.1)
    assert charts.run_p95 == [None, pytest.approx(10, rel=0.1), None]
    (error,) = charts.errors
    assert (error.error, error.task_type, error.retried, error.failed) == (
        "ValueError",
        "load",
        1,
        0,
    )
    (of_type,) = charts.types
    assert (of_type.queue, of_type.task_type, of_type.submitted) == ("default", "load", 3)


def test_charts_count_many_errors_under_one_name(store: MemoryStore, clock: FakeClock) -> None:
    join(store)
    steps = [f"{number}" for number in range(MOST_ERRORS + 5)]
    submit(store, *steps)
    claim(store, len(steps), token="one")
    acknowledge(store, *(Fail(step, "one", f"order {step} is late") for step in steps))
    errors = Past(store, kept=0).charts(clock() - HOUR, clock()).errors
    assert len(errors) == MOST_ERRORS + 1
    assert (errors[0].error, errors[0].retried) == ("(others)", 5)


def test_charts_of_a_queue_leave_out_other_queues(store: MemoryStore, clock: FakeClock) -> None:
    submit(store, "a", queue="gpu")
    submit(store, "b", "c")
    charts = Past(store, kept=0, patience=LIMIT).charts(clock() - HOUR, clock(), queue="gpu")
    assert charts.statuses["pending"][-1] == 1
    assert sum(charts.events["submitted"]) == 1


@pytest.mark.parametrize("ago", [3, 30, 300])
def test_counts_and_charts_are_the_same_however_long_ago(
    store: MemoryStore, clock: FakeClock, ago: int
) -> None:
    join(store)
    begin = clock()
    for number in range(6):
        submit(store, f"{number}")
        clock.advance(20 * 60)
    then = Past(store, kept=0, patience=LIMIT)
    before = then.charts(begin, clock(), points=2)
    end = clock()
    clock.advance(ago * 3_600)
    later = Past(store, kept=0, patience=LIMIT)
    assert later.counts(begin + HOUR)["pending"] == 4
    assert later.counts(begin + HOUR - 1)["pending"] == 3
    assert later.charts(begin, end, points=2) == before
    assert then.charts(begin, end, points=2) == before


def test_pruned_steps_are_not_counted(store: MemoryStore, clock: FakeClock) -> None:
    completed_step(store, "a")
    clock.advance(7_200)
    submit(store, "b")
    clock.advance(7_200)
    then = Past(store, kept=0, patience=LIMIT)
    assert then.counts(clock() - HOUR) == then.counts(clock())
    store.prune(store.final_steps(FINAL, clock(), 10).steps, clock())
    clock.advance(7_200)
    assert sum(then.counts(clock()).values()) == 1
    assert sum(then.counts(clock() - 5 * HOUR).values()) == 0


def test_minutes_in_any_order_become_a_longer_block(store: MemoryStore, clock: FakeClock) -> None:
    then = Past(store, kept=0)
    before = clock() - 1
    assert then.counts(before)["pending"] == 0
    submit(store, "b")
    clock.advance(60)
    submit(store, "a")
    clock.advance(600)
    assert then.counts(before)["pending"] == 0
    for hours in (5, 24 * 9):
        clock.advance(hours * 3_600)
        assert then.counts(clock())["pending"] == 2
        assert then.counts(before)["pending"] == 0


def test_steps_submitted_during_a_read_are_not_mistaken_for_pruned_ones(
    store: MemoryStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(store, "a")
    clock.advance(7_200)
    then = Past(store, kept=0)
    assert then.counts(clock() - HOUR)["pending"] == 1
    stats, activity = store.queue_stats, store.activity
    reads: list[int] = []

    def stats_before_a_submission(window: int) -> QueueStats:
        found = stats(window)
        submit(store, "b")
        return found

    def recorded(since: int, until: int, cursor: str | None = None) -> ActivityPage:
        reads.append(since)
        return activity(since, until, cursor)

    monkeypatch.setattr(store, "queue_stats", stats_before_a_submission)
    monkeypatch.setattr(store, "activity", recorded)
    then.counts(clock())
    assert min(reads) > clock() - HOUR


def test_counts_are_right_after_the_clock_was_set_back(
    store: MemoryStore, clock: FakeClock
) -> None:
    submit(store, "a")
    clock.advance(7_200)
    then = Past(store, kept=0)
    assert then.counts(clock())["pending"] == 1
    clock.step(-1_800)
    submit(store, "b")
    clock.advance(60)
    assert then.span().last == clock()
    assert then.counts(clock())["pending"] == 2
    assert then.counts(clock() - 2 * MINUTE)["pending"] == 1


def test_log_that_takes_long_is_read_in_the_background(
    store: MemoryStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(store, "a")
    clock.advance(86_400)
    may_go_on = threading.Event()
    read = store.activity

    def slow(since: int, until: int, cursor: str | None = None) -> ActivityPage:
        if threading.current_thread().name == "fleet-q past":
            may_go_on.wait()
        return read(since, until, cursor)

    monkeypatch.setattr(store, "activity", slow)
    then = Past(store, kept=0, patience=0)
    wait_until(lambda: then.span().is_ready)
    with pytest.raises(NotReady, match="still being read"):
        then.counts(clock() - 12 * HOUR)
    assert not then.span().is_ready
    may_go_on.set()
    wait_until(lambda: then.span().is_ready)
    assert then.counts(clock() - 12 * HOUR)["pending"] == 1


def test_lanes_show_what_ran_where_and_who_led(store: MemoryStore, clock: FakeClock) -> None:
    begin = clock()
    join(store, "a")
    clock.advance(1)
    join(store, "b")
    submit(store, "1", "2", "3")
    claim(store, 2, token="one", pod_id="b")
    clock.advance(1)
    acknowledge(store, Complete("1", "one", "1"), pod_id="b")
    claim(store, token="two", pod_id="b")
    clock.advance(1)
    died = store.declare_dead([pod for pod in store.pods().pods if pod.pod_id == "a"], "b")
    assert died
    store.sync(SyncRequest("b", "one", Leave("b", "one")))
    clock.advance(1)

    lanes = Past(store, kept=0, patience=LIMIT).lanes(begin, clock())
    first, second = lanes.lanes
    assert (first.pod_id, first.stays[0].ended, first.attempts) == ("a", "declared_dead", [])
    shown = [(each.step_id, each.how, each.row) for each in second.attempts]
    assert shown == [("1", "completed", 0), ("2", None, 1), ("3", None, 0)]
    assert second.stays[0].ended == "left"
    leaders = [(each.pod_id, each.to_ts) for each in lanes.leaders]
    assert leaders == [("a", begin + 3 * SECOND)]
    assert not lanes.is_cut


def test_workflow_and_parents_are_as_they_were(store: MemoryStore, clock: FakeClock) -> None:
    join(store)
    store.submit(
        [
            Submit("a", "{}", workflow_id="flow-1"),
            Submit("b", "{}", workflow_id="flow-1", parents='{"a":"success"}'),
        ]
    )
    clock.advance(1)
    then = clock()
    clock.advance(1)
    claim(store, token="one")
    acknowledge(store, Complete("a", "one", "1"))
    past = Past(store, kept=0, patience=LIMIT)
    assert past.workflow("flow-1", then).counts == {"pending": 1, "waiting": 1}
    assert past.workflow("flow-1", clock()).counts == {"pending": 1, "completed": 1}
    assert past.parents("b", then)["a"].status == "pending"
    assert past.step("b", then).status == "waiting"
    assert [event.type for event in past.history("b", clock())] == ["submitted", "ready"]


def test_past_waits_for_the_index_that_is_made_in_the_background(
    store: MemoryStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(store, "a")
    may_go_on = threading.Event()
    monkeypatch.setattr(store, "index_log", lambda most_steps: may_go_on.wait())
    then = Past(store, kept=0, patience=0)
    span = then.span()
    assert (span.first, span.last, span.is_ready, span.progress) == (clock(), clock(), False, 0.0)
    with pytest.raises(NotReady):
        then.log(LogFilter())
    may_go_on.set()
    wait_until(lambda: then.span().is_ready)
    assert [entry.type for entry in then.log(LogFilter()).entries] == ["submitted"]


def test_past_of_very_many_steps_asks_for_an_index(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(store, "a", "b")
    monkeypatch.setattr(store, "index_log", lambda most_steps: False)
    assert Past(store, kept=0, patience=LIMIT).counts(0)["pending"] == 0
    monkeypatch.setattr(timeline, "READ_WHOLE", 1)
    with pytest.raises(NeedsIndex, match="run fleet-q audit --index"):
        Past(store, kept=0, patience=LIMIT).counts(0)
    with pytest.raises(NeedsIndex):
        Past(store, kept=0, patience=LIMIT).lanes(0, 1)
