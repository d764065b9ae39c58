"""Schedules and their history, and the steps that are submitted together with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from fleet_q.adapters.calendar import CALENDAR
from fleet_q.core import schedules
from fleet_q.core.errors import UnknownStep
from fleet_q.core.ports import Store, SyncRequest
from fleet_q.core.schedules import Definition, Schedule, ScheduleWrite, fold_schedule
from fleet_q.core.step import Submit

from .clock import SECOND, FakeClock
from .helpers import claim, join
from .stores import StoreKind

HOURLY = Definition(
    "é load", Submit("", '{"task_type":"load"}', task_type="load", queue="q"), every=3_600 * SECOND
)


def put(store: Store, definition: Definition = HOURLY) -> Schedule:
    rows = {row.schedule: row for row in store.schedules().schedules}
    write = schedules.put(
        rows.get(definition.schedule), definition, store.schedules().at, "me", CALENDAR
    )
    assert write is not None
    assert store.write_schedule(write)
    return write.after


def fired(store: Store) -> ScheduleWrite:
    listed = store.schedules()
    row = listed.schedules[0]
    status = listed.last_statuses.get(row.last_step_id or "")
    return schedules.fire(row, status, listed.at, CALENDAR)


def test_schedules_are_kept_with_their_history(store: Store, clock: FakeClock) -> None:
    assert store.schedules().schedules == ()
    assert store.schedule_history("é load") == []
    row = put(store)
    other = put(store, replace(HOURLY, schedule="a", every=None, cron="0 2 * * *", overlap="one"))
    listed = store.schedules()
    assert (listed.at, listed.schedules) == (clock(), (other, row))
    paused = schedules.set_status(row, "paused", clock(), "ann", CALENDAR)
    assert paused is not None
    assert store.write_schedule(paused)
    history = store.schedule_history("é load")
    assert [(event.type, event.changed_by) for event in history] == [
        ("created", "me"),
        ("paused", "ann"),
    ]
    assert fold_schedule(history) == store.schedules().schedules[1] == paused.after


def test_firing_submits_its_step_and_moves_the_next_time(store: Store, clock: FakeClock) -> None:
    row = put(store)
    assert row.next_ts is not None
    clock.advance(row.next_ts - clock())
    write = fired(store)
    assert store.write_schedule(write, "pod")
    (submit,) = write.steps
    step = store.step(submit.step_id)
    assert step is not None
    assert (step.queue, step.task_type, step.status) == ("q", "load", "pending")
    assert store.history(submit.step_id)[0].pod_id == "pod"
    listed = store.schedules()
    assert listed.schedules == (write.after,)
    assert listed.last_statuses == {submit.step_id: "pending"}


def test_second_leader_that_fires_the_same_time_changes_nothing(
    store: Store, clock: FakeClock
) -> None:
    put(store)
    clock.advance(3_600 * SECOND)
    first, second = fired(store), fired(store)
    assert store.write_schedule(first)
    assert not store.write_schedule(second)
    assert store.schedules().schedules == (first.after,)
    assert len(store.history(first.steps[0].step_id)) == 1


def test_write_of_a_changed_schedule_changes_nothing(store: Store, clock: FakeClock) -> None:
    row = put(store)
    first = schedules.set_status(row, "paused", clock(), None, CALENDAR)
    second = schedules.put(row, replace(HOURLY, overlap="allow"), clock(), None, CALENDAR)
    new = schedules.put(None, HOURLY, clock(), None, CALENDAR)
    assert first is not None
    assert second is not None
    assert new is not None
    assert store.write_schedule(first)
    assert not store.write_schedule(second)
    assert not store.write_schedule(new)
    assert store.schedules().schedules == (first.after,)


def test_time_whose_step_exists_is_not_submitted_again(store: Store, clock: FakeClock) -> None:
    put(store)
    clock.advance(3_600 * SECOND)
    write = fired(store)
    store.submit([replace(write.steps[0], payload='{"other":1}')])
    assert store.write_schedule(write)
    step = store.step(write.steps[0].step_id)
    assert step is not None
    assert step.payload == '{"other":1}'


def test_write_whose_steps_are_refused_changes_nothing(store: Store, clock: FakeClock) -> None:
    put(store)
    clock.advance(3_600 * SECOND)
    write = fired(store)
    orphan = replace(write.steps[0], parents='{"none":"finished"}')
    before = store.schedules()
    with pytest.raises(UnknownStep):
        store.write_schedule(replace(write, steps=(orphan,)))
    assert store.schedules() == before


def test_step_of_a_schedule_that_fires_one_waits_for_the_last(
    store: Store, clock: FakeClock
) -> None:
    join(store)
    put(store, replace(HOURLY, overlap="one"))
    clock.advance(3_600 * SECOND)
    first = fired(store)
    assert store.write_schedule(first)
    assert len(claim(store, 5)) == 1
    clock.advance(3_600 * SECOND)
    second = fired(store)
    assert store.write_schedule(second)
    (submit,) = second.steps
    step = store.step(submit.step_id)
    assert step is not None
    assert step.status == "waiting"


def test_pods_and_claims_that_find_nothing_tell_the_next_firing(
    store: Store, clock: FakeClock
) -> None:
    join(store)
    request = SyncRequest("pod", "one", claim=1, claim_token="token")
    assert store.pods().next_firing is None
    assert store.sync(request).next_firing is None
    row = put(store)
    put(store, replace(HOURLY, schedule="later", every=5_000 * SECOND))
    assert store.pods().next_firing == row.next_ts
    assert store.sync(request).next_firing == row.next_ts
    paused = schedules.set_status(row, "paused", clock(), None, CALENDAR)
    assert paused is not None
    assert store.write_schedule(paused)
    later = store.schedules().schedules[0]
    assert later.schedule == "later"
    assert store.pods().next_firing == later.next_ts


def test_rebuild_corrects_definitions_and_keeps_the_bookkeeping(
    kind: StoreKind, store: Store, tmp_path: Path, clock: FakeClock
) -> None:
    row = put(store)
    put(store, replace(HOURLY, schedule="lost"))
    clock.advance(3_600 * SECOND)
    assert store.write_schedule(fired(store))
    before = store.schedules().schedules
    if kind.execute is None:
        pytest.skip(f"no statements on {kind.name}")
    kind.execute(tmp_path, store, "UPDATE schedules SET overlap = 'allow' WHERE cron IS NULL")
    kind.execute(tmp_path, store, "DELETE FROM schedules WHERE schedule = 'lost'")
    report = store.rebuild(check=True)
    assert report.differing_schedules == ("lost", row.schedule)
    assert report.reasons == (
        "schedule 'lost' has events but no row",
        f"schedule {row.schedule!r} differs from its events in overlap",
    )
    assert store.rebuild().differing_schedules == ("lost", row.schedule)
    lost, corrected = store.schedules().schedules
    assert corrected == before[1]
    assert schedules.is_due(lost, clock())
