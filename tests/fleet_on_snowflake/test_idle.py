"""An idle fleet needs no warehouse and wakes for work: pods on a virtual clock."""

from __future__ import annotations

import pytest

from fleet_q.adapters.calendar import CALENDAR
from fleet_q.core.audit import audit
from fleet_q.core.retry import MICROS, micros
from fleet_q.core.schedules import Definition, put
from fleet_q.core.settings import PodSettings
from fleet_q.core.step import Submit
from fleet_q.core.worker.idle import longest_sleep_poll
from fleet_q.core.worker.pacing import LONGEST_JITTER
from tests.fleet_on_snowflake.by_hand import World
from tests.standin.log import Entry

HOUR = 3_600
SLEEPS_SOON = PodSettings(sleep_after=20.0, claim_interval=10.0)


def asleep(world: World, pods: int = 3, settings: PodSettings = SLEEPS_SOON) -> World:
    """Add pods and let them fall asleep."""
    for number in range(pods):
        world.pod(f"pod-{number}", settings)
    world.live(settings.sleep_after + 1)
    assert all(pod.asleep for pod in world.pods)
    world.schema.forget()
    return world


def costs(statement: Entry) -> bool:
    return statement.writes or statement.warehouse


def test_ten_sleeping_pods_write_nothing_and_need_no_warehouse(world: World) -> None:
    asleep(world, 10, PodSettings(sleep_after=20.0, claim_interval=120.0))
    world.live(120)  # until they have looked for steps once more
    world.schema.forget()
    world.live(HOUR)
    log = world.schema.log()
    assert [s for s in log if costs(s)] == []
    assert len({s.text for s in log}) == 1
    assert len(log) == pytest.approx(10 * HOUR / 120, abs=10)


def test_step_wakes_sleeping_pods_within_a_claim_interval_and_they_sleep_again(
    world: World,
) -> None:
    asleep(world)
    (step_id,) = world.submit()
    submitted = world.now
    while not any(step_id in pod.done for pod in world.pods):
        world.live(2)
    assert world.now <= submitted + SLEEPS_SOON.claim_interval + 2
    world.live(SLEEPS_SOON.sleep_after + 2 * SLEEPS_SOON.claim_interval)
    assert all(pod.asleep for pod in world.pods)
    assert world.client.counts()["completed"] == 1
    world.schema.forget()
    world.live(60)
    assert [s for s in world.schema.log() if costs(s)] == []


def test_step_submitted_in_a_pods_process_starts_at_once_although_the_pod_sleeps(
    world: World,
) -> None:
    asleep(world)
    world.live(HOUR / 6)
    (step_id,) = world.submit()
    pod = world.pods[1]
    pod.machine.work_arrived()
    pod.once()
    assert pod.done == [step_id]


def test_step_submitted_elsewhere_starts_within_the_sleep_poll_interval(world: World) -> None:
    asleep(world)
    world.live(HOUR / 6)
    (step_id,) = world.submit()
    world.live(SLEEPS_SOON.sleep_poll_interval + LONGEST_JITTER)
    assert any(step_id in pod.done for pod in world.pods)


def test_pods_sleep_until_a_delayed_step_is_due_and_run_it_in_time(world: World) -> None:
    asleep(world)
    (step_id,) = world.submit(delay=HOUR / 10)
    submitted = world.now
    world.live(SLEEPS_SOON.sleep_after + 2 * SLEEPS_SOON.claim_interval)
    assert all(pod.asleep for pod in world.pods)
    world.schema.forget()
    world.live(HOUR / 10 - (world.now - submitted) - 1)
    assert [s for s in world.schema.log() if costs(s)] == []
    world.live(2)
    assert [pod.done for pod in world.pods if pod.done] == [[step_id]]


def test_sleeping_pods_wake_to_recover_the_step_of_a_dead_pod(world: World) -> None:
    asleep(world)
    dying = world.pod("pod-that-dies", SLEEPS_SOON)
    dying.keeps = True
    world.submit()
    dying.machine.work_arrived()
    dying.do_what_is_due()
    assert dying.machine.running == 1
    while not all(pod.asleep for pod in world.pods if pod is not dying):
        world.live(2)
    dying.die()
    died = world.now
    while not any(pod.done for pod in world.pods):
        world.live(2)
    noticed_claim = died + longest_sleep_poll(SLEEPS_SOON)
    assert world.now - noticed_claim <= (
        2 * SLEEPS_SOON.dead_pod_threshold + SLEEPS_SOON.recovery_interval
    )
    world.live(2 * SLEEPS_SOON.dead_pod_threshold)
    assert all(pod.asleep for pod in world.pods)
    report = audit(world.client.step_events())
    assert (report.faults, report.recovered, report.completed) == ([], 1, 1)
    assert world.client.rebuild(check=True).equal


def test_sleeping_fleet_wakes_for_the_next_firing_and_looks_at_no_schedule_before(
    world: World,
) -> None:
    at = world.client.schedules().at
    definition = Definition("hourly", Submit("", "{}"), every=micros(HOUR))
    write = put(None, definition, at, None, CALENDAR)
    assert write is not None
    assert write.after.next_ts is not None
    assert world.client.write_schedule(write)
    asleep(world)
    world.live(60)
    due_in = (write.after.next_ts - at) / MICROS - world.now
    world.schema.forget()
    world.live(due_in - 1)
    assert [s for s in world.schema.log() if costs(s)] == []
    world.live(2)
    done = [step_id for pod in world.pods for step_id in pod.done]
    assert done == [f"hourly@{CALENDAR.text(write.after.next_ts)}"]
    reads = world.client.session.statements.text("schedules")
    assert [s.text for s in world.schema.log()].count(reads) == 1
