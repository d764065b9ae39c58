"""Whole fleets on the stand-in for Snowflake, with the unmodified connector and many faults."""

from __future__ import annotations

import subprocess
from collections import Counter
from itertools import pairwise

from msgspec.structs import replace

from fleet_q import FleetQ
from fleet_q.adapters.snowflake.session import Session
from fleet_q.adapters.snowflake.statements import Statements
from fleet_q.adapters.snowflake.store import SnowflakeStore
from fleet_q.core.audit import audit
from fleet_q.core.events import Claimed, Completed
from fleet_q.services.app.settings import Settings
from tests.fleet_on_snowflake.threads import Fleet
from tests.processes.launcher import Launcher
from tests.standin.client import Schema
from tests.waiting import LIMIT, wait_until

QUICK = Settings(
    heartbeat_interval=2.0, claim_interval=0.2, recovery_interval=2.0, dead_pod_threshold=20.0
)

SOON_DEAD = replace(QUICK, heartbeat_interval=1.0, recovery_interval=1.0, dead_pod_threshold=4.0)


def submit(store: SnowflakeStore, steps: int) -> None:
    FleetQ(store).submit_many({"task_type": "nap", "number": n} for n in range(steps))


def assert_all_done_once(store: SnowflakeStore, steps: int) -> None:
    report = audit(store.step_events())
    assert (report.steps, report.completed, report.faults) == (steps, steps, [])
    assert store.rebuild(check=True).equal


def test_eight_pods_complete_every_step_once_despite_all_kinds_of_faults(
    made: Schema, store: SnowflakeStore, fleet: Fleet, processes: Launcher
) -> None:
    made.set(times={"request": 0.003})
    fleet.start(6, QUICK)
    for number in range(2):
        processes.start(f"process-{number}", FLEET_Q_DEAD_POD_THRESHOLD="10")
    wait_until(lambda: len(store.pods().pods) == 8)
    for_ever = {"times": None}
    made.fault("drop", on="call", every=10, then="sign-in", **for_ever)  # final for the driver
    made.fault("drop", on="call", every=31, **for_ever)
    made.fault("status", status=503, every=41, **for_ever)
    made.fault("reset", every=43, **for_ever)
    made.fault("error", error="expired", every=47, **for_ever)
    made.fault("error", error="gone", every=53, **for_ever)
    made.fault("error", on="update", code="000625", sqlstate="57014", every=29, **for_ever)
    steps = 0

    def all_faults_met_in_more_steps(more: int) -> bool:
        nonlocal steps
        submit(store, more)
        steps += more
        wait_until(lambda: store.counts()["completed"] == steps)
        faults = Counter(struck(made))
        print("faults:", faults, "errors met:", fleet.errors())
        is_met = {390111, 390114} <= fleet.errors().keys()
        return is_met and set(faults) == {"drop", "status", "reset", "error"}

    if not all_faults_met_in_more_steps(500):
        wait_until(lambda: all_faults_met_in_more_steps(50))
    made.no_faults()
    assert_all_done_once(store, steps)


def test_each_of_24_contending_pods_gets_its_share_although_only_15_may_wait_for_a_lock(
    made: Schema, store: SnowflakeStore, fleet: Fleet
) -> None:
    """One of 24 pods has the lock and 15 wait for it; the others are rejected and retry. Each
    completes at least a quarter of an equal share: two syncs of four steps."""
    settings = Settings(claim_interval=0.2, max_parallelism=5, prefetch=0)
    fleet.start(24, settings)
    wait_until(lambda: len(store.pods().pods) == 24)
    made.set(times={"update": 0.03}, waiters=15, idle_abort=LIMIT)
    submit(store, 24 * 32)
    holder = Session(made.parameters, Statements())
    holder.execute("BEGIN TRANSACTION")
    holder.execute('UPDATE "STEP_TRACKER" SET version = version WHERE step_id IS NULL')
    wait_until(lambda: fleet.errors().get(625))  # sixteen pods want the lock meanwhile
    holder.close()
    wait_until(lambda: store.counts()["completed"] == 24 * 32)
    assert_all_done_once(store, 24 * 32)
    done = (e.pod_id for e in store.step_events() if isinstance(e.fact, Completed))
    shares = sorted(Counter(done).values())
    print("steps that each pod did:", shares, "errors met:", fleet.errors())
    assert fleet.errors()[625] > 0
    assert len(shares) == 24
    assert shares[0] >= 8


def test_leader_recovers_the_steps_of_a_killed_process(
    made: Schema, store: SnowflakeStore, fleet: Fleet, processes: Launcher
) -> None:
    """After a few syncs it cannot record its steps any more, however late it is killed."""
    submit(store, 100)
    made.fault("reset", on="call", matching="FLEET_Q_SYNC", spare=2, times=None, repetitions=None)
    victim = processes.start("victim", FLEET_Q_DEAD_POD_THRESHOLD="4")
    wait_until(lambda: struck(made))
    assert store.counts()["claimed"] > 0
    kill(victim)
    made.no_faults()
    fleet.start(2, SOON_DEAD)
    wait_until(lambda: store.counts()["completed"] == 100)
    assert_all_done_once(store, 100)
    assert "recovered" in after_claims_by("victim", store) <= {"completed", "recovered"}


def test_fleet_goes_on_after_a_process_is_killed_during_a_call(
    made: Schema, store: SnowflakeStore, fleet: Fleet, processes: Launcher
) -> None:
    """The call goes on without its client, and the leader recovers what it claimed. The process
    completes no step, however late it is killed."""
    submit(store, 20)
    made.fault("hang", on="call", matching="FLEET_Q_SYNC")  # the first one joins and claims
    victim = processes.start("victim", FLEET_Q_DEAD_POD_THRESHOLD="4", NAP_SECONDS="3600")
    wait_until(lambda: struck(made) == ["hang"])  # or the fault would strike another pod
    assert store.counts()["claimed"] > 0
    kill(victim)
    fleet.start(2, SOON_DEAD)
    wait_until(lambda: store.counts()["completed"] == 20)
    assert_all_done_once(store, 20)
    assert after_claims_by("victim", store) == {"recovered"}


def after_claims_by(pod_id: str, store: SnowflakeStore) -> set[str]:
    """The types of the events that followed the claims of this pod."""
    return {
        after.fact.type
        for event, after in pairwise(store.step_events())
        if isinstance(event.fact, Claimed) and event.pod_id == pod_id
        if after.stream == event.stream
    }


def struck(schema: Schema) -> list[str | None]:
    """The faults that statements have met."""
    return [each.fault for each in schema.log(lambda each: each.fault is not None)]


def kill(pod: subprocess.Popen[bytes]) -> None:
    pod.kill()
    pod.wait()
