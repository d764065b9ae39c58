"""How many statements a fleet's work takes on Snowflake."""

from __future__ import annotations

from collections import Counter
from contextlib import closing

import pytest
import snowflake.connector

from fleet_q import FleetQ, Settings
from fleet_q.core.calls import run
from fleet_q.core.retry import micros
from fleet_q.core.settings import PodSettings
from fleet_q.core.step import Submit
from fleet_q.core.unserved import find_unserved
from fleet_q.services.app.on_change import ReadOnChange
from tests.benchmarks.cloud_services import sleep_polls
from tests.fleet_on_snowflake.by_hand import USUAL, Pod, World
from tests.standin.log import Entry

HOUR = 3_600.0


def drained(world: World, pod: Pod, steps: int) -> list[Entry]:
    """Drain these steps with a sync every tenth of a second; returns the statements."""
    world.submit(steps)
    world.schema.forget()
    pod.machine.work_arrived()
    while len(pod.done) < steps or pod.machine.running:
        world.pass_time(0.1)
        pod.once()
    while pod.once():
        pass
    assert world.client.counts()["completed"] == steps
    return world.schema.log()


@pytest.mark.parametrize(("parallelism", "most"), [(8, 1.2), (100, 0.1)])
def test_drain_without_prefetch_takes_few_statements_a_step(
    world: World, parallelism: int, most: float
) -> None:
    pod = world.pod("pod", PodSettings(max_parallelism=parallelism, prefetch=0))
    pod.once()
    steps = 20 * parallelism
    assert len(drained(world, pod, steps)) / steps <= most


@pytest.mark.parametrize("parallelism", [2, 100])
def test_sync_is_one_request_whatever_its_size(world: World, parallelism: int) -> None:
    settings = PodSettings(
        max_parallelism=parallelism,
        capacity_threshold=1.0,
        prefetch=0,
        claim_interval=HOUR,
        recovery_interval=HOUR,
    )
    pod = world.pod("pod", settings)
    pod.once()
    world.submit(2 * parallelism)
    pod.machine.work_arrived()
    pod.once()
    world.pass_time(USUAL.heartbeat_interval)
    world.schema.forget()
    request = pod.once()
    assert request is not None
    assert request.pod_command is not None
    assert len(request.outcomes) == request.claim == parallelism
    assert requests(world) == {"call": 1}
    assert [(each.kind, table(each)) for each in world.schema.log() if each.call] == [
        ("insert", "POD_HEARTBEATS"),
        ("begin", ""),
        ("update", "STEP_TRACKER"),
        ("insert", "STEP_EVENTS"),
        ("commit", ""),
        ("select", ""),
    ]


def test_sync_that_makes_steps_ready_is_one_request(world: World) -> None:
    pod = world.pod("pod")
    pod.once()
    parents = [Submit(f"p{n}", "{}") for n in range(10)]
    waits = '{"p0":"success","p1":"success"}'
    children = [Submit(f"c{n}", "{}", priority=-1, parents=waits) for n in range(10)]
    world.client.submit([*parents, *children])
    pod.machine.work_arrived()
    pod.once()
    world.schema.forget()
    pod.once()
    assert world.client.counts()["waiting"] == 0
    written = [(each.kind, table(each)) for each in world.schema.log() if each.writes]
    assert requests(world)["call"] == 1
    assert written == [
        ("update", "STEP_TRACKER"),  # the parents end
        ("insert", "STEP_EVENTS"),
        ("insert", "STEP_EVENTS"),
        ("update", "STEP_TRACKER"),  # locks the children
        ("update", "STEP_TRACKER"),  # they are ready
        ("update", "STEP_TRACKER"),  # nothing fell
        ("insert", "STEP_EVENTS"),
    ]


def test_no_select_runs_while_steps_are_locked(world: World) -> None:
    pod = world.pod("pod")
    pod.once()
    for statement in drained(world, pod, 100):
        if statement.transaction is not None:
            assert statement.kind != "select"


@pytest.mark.parametrize("number", [1, 1_000])
def test_submission_is_one_request_whatever_its_size(world: World, number: int) -> None:
    world.submit()
    world.schema.forget()
    world.submit(number)
    assert requests(world) == {"call": 1}
    assert kinds(world.schema.log()) == {
        "call": 1,
        "begin": 1,
        "insert": 2,
        "commit": 1,
        "select": 1,
    }


def test_submission_with_a_given_id_takes_two_locks_more(world: World) -> None:
    world.client.submit([Submit("mine", "{}")])
    assert requests(world) == {"call": 1}
    assert kinds(world.schema.log())["update"] == 2
    world.schema.forget()
    world.client.submit([Submit("mine", "{}")])
    assert requests(world) == {"call": 1}


def test_idle_pod_that_is_awake_writes_only_heartbeats(world: World) -> None:
    pod = world.pod("pod", PodSettings(recovery_interval=HOUR))
    pod.do_what_is_due()
    world.schema.forget()
    world.live(USUAL.sleep_after - 1)
    log = world.schema.log()
    heartbeats = int(USUAL.sleep_after / USUAL.heartbeat_interval) - 1
    assert {table(each) for each in log if each.writes} == {"POD_HEARTBEATS"}
    assert not any(each.locked for each in log)
    looks = 1  # once more, a claim interval after the first look
    assert len([each for each in log if each.kind == "call"]) == heartbeats + looks


def test_sleeping_pod_takes_two_statements_a_minute_and_no_warehouse(world: World) -> None:
    world.pod("pod", PodSettings(sleep_after=10.0))
    world.live(90)
    world.schema.forget()
    world.live(600)
    log = world.schema.log()
    assert len(log) == sleep_polls(1, 600)
    assert not any(each.warehouse or each.writes for each in log)


@pytest.mark.parametrize("number", [1, 300])
def test_rows_of_the_inbox_wake_a_sleeping_pod_and_take_three_requests_more(
    world: World, number: int
) -> None:
    pod = world.pod("pod", PodSettings(sleep_after=10.0, max_parallelism=400))
    world.live(90)
    assert pod.asleep
    values = ", ".join(["('{}')"] * number)
    with closing(snowflake.connector.connect(**world.schema.parameters)) as users:
        users.cursor().execute(f"INSERT INTO step_inbox (payload) VALUES {values}")
    world.schema.forget()
    world.live(60)
    assert len(pod.done) == number
    sent = [
        each.text.partition("(")[0]
        for each in world.schema.log(lambda each: each.call is None)
        if each.text != world.client.session.statements.text("change_counter")
    ]
    looked, read, took_in, claimed, *_ = sent
    assert looked == claimed
    assert "SYNC" in claimed
    assert read.startswith("SELECT")
    assert "TAKE_IN" in took_in


@pytest.mark.parametrize("number", [1, 80])
def test_recovery_takes_six_requests_whatever_its_size(world: World, number: int) -> None:
    leader = world.pod("a-leader", PodSettings(sleep_after=HOUR, recovery_interval=HOUR))
    dying = world.pod("dying", PodSettings(max_parallelism=100))
    leader.do_what_is_due()
    dying.keeps = True
    world.submit(number)
    dying.do_what_is_due()
    assert dying.machine.running == number
    dying.die()
    leader.watch_for_a_threshold()
    world.schema.forget()
    leader.recover()
    sent = requests(world)
    assert world.client.counts()["pending"] == number
    assert sent == {"select": 3, "call": 3}


def test_look_for_unserved_steps_takes_one_query_or_two(world: World) -> None:
    world.pod("pod").do_what_is_due()
    sent = []
    for number in (0, 80):
        world.submit(number)
        world.schema.forget()
        run(world.client, find_unserved(micros(60)))
        sent.append(requests(world))
    assert sent == [{"select": 1}, {"select": 2}]


def test_watched_queues_are_read_only_after_a_change(world: World) -> None:
    fleet = FleetQ(world.client, settings=Settings())
    stats = ReadOnChange(world.client, fleet.queue_stats, 5.0, lambda _: None, lambda: world.now)

    def watch() -> list[Entry]:
        world.schema.forget()
        for _ in range(20):
            world.pass_time(5)
            stats.current()
        return world.schema.log()

    watch()
    assert not any(each.warehouse for each in watch())
    world.submit(2)
    read = [each.text for each in watch() if each.warehouse]
    change_counter = world.client.session.statements.text("change_counter")
    assert read.count(change_counter) == 1, "the first poll after the change"
    assert len(read) == 1 + 4, "the queues and the pods, twice"
    assert [each.pending for each in stats.current()[0].queues] == [2]


def table(statement: Entry) -> str:
    return (statement.target or "").rpartition(".")[2].strip('"')


def requests(world: World) -> Counter[str]:
    """The statements that clients sent, by kind."""
    return kinds(world.schema.log(lambda statement: statement.call is None))


def kinds(log: list[Entry]) -> Counter[str]:
    return Counter(statement.kind for statement in log)
