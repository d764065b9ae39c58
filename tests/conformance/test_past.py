"""What stores tell of the past equals what the folded log tells."""

from __future__ import annotations

from collections import Counter
from itertools import product
from random import Random

import pytest

from fleet_q.core import activity, attempts, past
from fleet_q.core.activity import Activity
from fleet_q.core.attempts import Attempt
from fleet_q.core.briefs import Brief, briefs_of
from fleet_q.core.events import StepEvent
from fleet_q.core.ports import Store
from fleet_q.core.search import StepFilter, StepSummary
from fleet_q.core.step import Fail, fold

from .clock import SECOND, FakeClock
from .helpers import acknowledge, claim, join, submit
from .histories import History
from .stores import StoreKind


@pytest.fixture(params=["without an index", "with an index"])
def history(
    store: Store, kind: StoreKind, clock: FakeClock, request: pytest.FixtureRequest
) -> History:
    """A history of random things."""
    is_indexed = request.param == "with an index"
    if is_indexed and kind.name != "sqlite":
        pytest.skip("this store needs no index")
    history = History(store, clock, Random(7 if is_indexed else 3))
    history.run(40 if kind.writes_are_billed else 200)
    assert store.index_log() or not is_indexed
    return history


def events_and_briefs(store: Store) -> tuple[list[StepEvent], list[Brief]]:
    events = list(store.step_events())
    by_id: dict[str, list[StepEvent]] = {}
    for event in events:
        by_id.setdefault(event.stream, []).append(event)
    folded = {step_id: fold(of_step) for step_id, of_step in by_id.items()}
    steps = {step_id: step for step_id, step in folded.items() if step is not None}
    return events, list(briefs_of(events, steps))


def activity_of(store: Store, since: int, until: int) -> Counter[Activity]:
    """The changes of all pages."""
    found: Counter[Activity] = Counter()
    cursor: str | None = None
    while True:
        page = store.activity(since, until, cursor)
        for change in page.changes:
            found[change._replace(number=0)] += change.number
        cursor = page.cursor
        if cursor is None:
            return found


def test_activity_counts_the_changes_of_a_span(store: Store, history: History) -> None:
    events, briefs = events_and_briefs(store)
    times = [seen.at for seen in history.seen]
    assert activity_of(store, 0, times[-1] + 1).total() == len(events)
    for since, until in ((0, times[-1] + 1), (times[5], times[-5]), (times[8], times[8] + 1)):
        counted = activity.count(briefs, since, until)
        expected = Counter({each._replace(number=0): each.number for each in counted})
        assert activity_of(store, since, until) == expected


def test_attempts_of_a_span_are_those_of_the_log(store: Store, history: History) -> None:
    _, briefs = events_and_briefs(store)
    times = [seen.at for seen in history.seen]
    for since, until in ((0, times[-1] + 1), (times[9], times[-9])):
        expected = [each for each in attempts.attempts_of(briefs) if each.overlaps(since, until)]
        found = store.attempts(since, until, 1_000)
        assert not found.is_cut
        assert sorted(found.attempts, key=_order) == sorted(expected, key=_order)
        cut = store.attempts(since, until, 3)
        assert len(cut.attempts) <= 3
        assert {*cut.attempts} <= {*expected}
        assert cut.is_cut or len(cut.attempts) == len(expected)


def _order(attempt: Attempt) -> tuple[str, int]:
    return (attempt.step_id, attempt.claimed_ts)


FILTERS = [
    StepFilter(),
    StepFilter(statuses=("failed", "completed")),
    StepFilter(statuses=("pending",), task_types=("load",)),
    StepFilter(queues=("gpu",), workflow_id="flow"),
    StepFilter(in_workflow=True),
    StepFilter(pod_id="a"),
    StepFilter(labels=(("day", "1"),), id_prefix="0"),
]


def test_steps_of_a_moment_are_filtered_as_they_were(store: Store, history: History) -> None:
    number = len(history.seen)
    for selected, seen in product(FILTERS, history.seen[number // 3 :: number // 2]):
        expected = [
            StepSummary.of(step)
            for step in past.steps_at(store.step_events(), seen.at)
            if selected.selects(step)
        ]
        expected.sort(key=lambda step: (step.created_ts, step.step_id), reverse=True)
        found: list[StepSummary] = []
        cursor: str | None = None
        while True:
            page = store.steps_at(seen.at, selected, 3, cursor)
            found += page.steps
            cursor = page.cursor
            if cursor is None:
                break
        assert found == expected


def test_steps_are_listed_as_they_were_although_the_clock_was_set_back(
    store: Store, clock: FakeClock
) -> None:
    join(store)
    submit(store, "a")
    clock.advance(10)
    claim(store, token="one")
    clock.step(-5)
    acknowledge(store, Fail("a", "one", "ValueError: 7"))
    moment = clock() + SECOND
    clock.advance(100)
    claim(store, token="two")
    (step,) = store.steps_at(moment, StepFilter(), 10).steps
    assert step.status == "pending"
