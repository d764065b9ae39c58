"""The simulated store: a call takes effect at its commit, as a whole; locks, faults, outages."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from fleet_q.core.calls import StoreCall
from fleet_q.core.errors import FleetQError, StoreContended, StoreUnavailable
from fleet_q.core.pod import Join, Leave, SendHeartbeat
from fleet_q.core.ports import SyncRequest
from fleet_q.core.step import Release, Submit
from fleet_q.services.simulation.actor import Actor, Process
from fleet_q.services.simulation.client import hold_locks
from fleet_q.services.simulation.locks import LockTable
from fleet_q.services.simulation.models import (
    KINDS,
    SQLITE,
    Kind,
    StoreModel,
    hybrid,
    standard,
    store_model,
)
from fleet_q.services.simulation.recording import RecordingDatabase
from fleet_q.services.simulation.scenario import OUTSIDER, TransactionFault
from fleet_q.services.simulation.scripts import script
from fleet_q.services.simulation.server import Server
from fleet_q.services.simulation.stale import StaleViews
from fleet_q.services.simulation.store_state import StoreState
from fleet_q.services.simulation.virtual_clock import VirtualClock

STANDARD, HYBRID = standard(), hybrid()
HEARTBEAT = StoreCall("sync", (SyncRequest("pod", "i", SendHeartbeat("pod", "i")),))
CLAIM = StoreCall("sync", (SyncRequest("pod", "i", claim=1, claim_token="x"),))


class SimulatedStore:
    """A simulated store with one pod and 40 steps, and clients that call it."""

    def __init__(self, model: StoreModel) -> None:
        self.virtual_clock = VirtualClock()
        self.database = RecordingDatabase(self.virtual_clock.store_time, model.traits)
        self.answers: list[tuple[str, Any]] = []
        self.state = StoreState(
            self.virtual_clock, has_lock_queue=model.most_waiters is not None, longest_gap=5.0
        )
        self.stale = StaleViews(self.database, self.virtual_clock, Random(1))
        self.server = Server(
            self.virtual_clock,
            model,
            self.database,
            Random(1),
            on_done=lambda *_: self.database.take(),
            on_death=lambda actor, _: actor.kill(),
            state=self.state,
            refuses=lambda call: call.method == "cancel" and call.args == ("too large",),
            stale=self.stale,
        )
        self.call("first", StoreCall("submit", ([Submit(f"s{n}", "{}") for n in range(40)],)))
        self.call("first", StoreCall("sync", (SyncRequest("pod", "i", Join("pod", "i")),)))
        self.virtual_clock.run(10.0)
        self.answers.clear()
        del self.server.stats.waits[:]

    def call(self, name: str, call: StoreCall) -> Actor:
        actor = Actor(name, self.virtual_clock, self.server)
        actor.begin(self._ask(name, call))
        return actor

    def _ask(self, name: str, call: StoreCall) -> Process:
        try:
            answer = yield call
        except FleetQError as error:
            answer = error
        self.answers.append((name, answer))

    def hold_locks(self, seconds: float) -> None:
        """Let a client outside the fleet hold the locks of the tables, or of the pod and the head
        of the queue."""
        holder = Actor(OUTSIDER, self.virtual_clock, self.server)
        holder.begin(hold_locks(seconds, ("pod",)))

    def claimed(self) -> int:
        return len(self.database.by_status["claimed"])


@pytest.mark.parametrize("then", ["fails", "dies"])
@pytest.mark.parametrize("kind", KINDS)
def test_claim_has_effect_only_if_fault_comes_after_commit(kind: Kind, then: Any) -> None:
    model = store_model(kind)
    requests = script(model, CLAIM, None).requests
    for number in range(requests + 1):
        store = SimulatedStore(model)
        store.server.transaction_faults["pod"] = [TransactionFault(0.0, "pod", number, then=then)]
        store.call("pod", CLAIM)
        store.virtual_clock.run(60.0)
        assert store.claimed() == (1 if number == requests else 0), number
        assert [type(answer) for _, answer in store.answers] == (
            [StoreUnavailable] if then == "fails" else []
        )


def test_commit_takes_effect_if_client_is_killed_after_sending_it() -> None:
    store = SimulatedStore(STANDARD)
    actor = store.call("pod", CLAIM)
    while not store.claimed():
        store.virtual_clock.run(store.virtual_clock.now + 0.01)
    before = SimulatedStore(STANDARD)
    victim = before.call("pod", CLAIM)
    before.virtual_clock.run(store.virtual_clock.now - 0.02)  # the commit has been sent
    victim.kill()
    before.virtual_clock.run(60.0)
    assert before.claimed() == 1
    assert before.answers == []
    assert actor.alive


@pytest.mark.parametrize(("kind", "claimed"), [("sqlite", 0), ("standard", 1), ("hybrid", 1)])
def test_frozen_client_continues_its_transaction_unless_it_is_a_procedure(
    kind: Kind, claimed: int
) -> None:
    store = SimulatedStore(store_model(kind))
    store.server.transaction_faults["pod"] = [
        TransactionFault(0.0, "pod", 1, seconds=1.0, then="goes on")
    ]
    store.call("pod", CLAIM).freeze(30.0)
    store.virtual_clock.run(35.0)
    assert store.claimed() == claimed
    assert store.answers == []
    store.virtual_clock.run(60.0)
    assert store.claimed() == 1
    assert [name for name, _ in store.answers] == ["pod"]


def test_twenty_wait_for_a_lock_and_others_are_rejected() -> None:
    store = SimulatedStore(STANDARD)
    for number in range(25):
        request = SyncRequest("pod", "i", claim=1, claim_token=f"x{number}")
        store.call(str(number), StoreCall("sync", (request,)))
    store.virtual_clock.run(100.0)
    rejected = [name for name, answer in store.answers if isinstance(answer, StoreUnavailable)]
    assert len(rejected) == store.server.stats.rejections == 4
    assert len(store.answers) == 25
    assert len(store.server.stats.waits) == 20


def test_lock_is_granted_in_order_of_waiting() -> None:
    granted: list[str] = []
    locks = LockTable[str](None, granted.append)
    assert [locks.take("table", client) for client in "abc"] == [True, False, False]
    locks.leave("table", "b")
    assert locks.take("table", "b") is False
    for _ in range(3):
        locks.release("table")
    assert granted == ["c", "b"]
    assert locks.take("table", "d") is True


def test_hybrid_tables_lock_single_rows() -> None:
    store = SimulatedStore(HYBRID)
    calls: list[Callable[[], object]] = [
        lambda n=n: store.call(str(n), StoreCall("cancel", (f"s{n}",)))  # type: ignore[misc]
        for n in range(25)
    ]
    for call in calls:
        call()
    store.virtual_clock.run(20.0)
    assert len(store.server.stats.waits) == 0
    assert len(store.database.by_status["cancelled"]) == 25


@pytest.mark.parametrize("model", [STANDARD, HYBRID])
def test_sync_locks_steps_before_pods_as_its_procedure_does(model: StoreModel) -> None:
    leave = SyncRequest("pod", "i", Leave("pod", "i"), outcomes=(Release("s1", "x"),))
    updates = [s.text for s in script(model, StoreCall("sync", (leave,)), None).body if s.locks]
    assert updates == ["UPDATE step_tracker", "UPDATE pod_health"]


def test_lock_of_dead_client_of_a_file_is_released() -> None:
    store = SimulatedStore(SQLITE)
    store.server.transaction_faults["pod"] = [TransactionFault(0.0, "pod", 2, then="dies")]
    store.call("pod", CLAIM)
    store.virtual_clock.run(store.virtual_clock.now + 5.0)
    assert store.server.is_undisturbed()
    assert store.claimed() == 0


def test_waiting_for_a_lock_times_out_as_contended() -> None:
    store = SimulatedStore(STANDARD)
    store.hold_locks(60.0)
    store.virtual_clock.run(12.0)
    store.call("other", CLAIM)
    store.virtual_clock.run(12.0 + STANDARD.lock_timeout + 5.0)
    assert [(name, type(answer)) for name, answer in store.answers] == [("other", StoreContended)]
    assert store.server.stats.timeouts == 1


@pytest.mark.parametrize("model", [HYBRID, SQLITE])
def test_lock_timeout_without_lock_queue_is_store_unavailable(model: StoreModel) -> None:
    store = SimulatedStore(model)
    store.hold_locks(200.0)
    store.virtual_clock.run(12.0)
    store.call("other", CLAIM)
    store.virtual_clock.run(12.0 + model.lock_timeout + 5.0)
    assert [(name, type(answer)) for name, answer in store.answers] == [("other", StoreUnavailable)]
    assert store.server.stats.timeouts == 1


def test_calls_fail_during_an_outage() -> None:
    store = SimulatedStore(STANDARD)
    store.call("pod", CLAIM)
    store.virtual_clock.run(10.1)
    store.server.begin_outage(30.0)
    store.call("other", CLAIM)
    store.virtual_clock.run(20.0)
    assert sorted(name for name, _ in store.answers) == ["other", "pod"]
    assert {type(answer) for _, answer in store.answers} == {StoreUnavailable}
    assert store.claimed() == 0
    store.virtual_clock.run(45.0)
    store.call("late", CLAIM)
    store.virtual_clock.run(60.0)
    assert store.claimed() == 1


def test_lock_of_a_file_delays_heartbeats_but_not_queries() -> None:
    store = SimulatedStore(SQLITE)
    store.hold_locks(20.0)
    store.virtual_clock.run(store.virtual_clock.now + 1.0)
    assert not store.server.is_undisturbed()
    store.call("pod", HEARTBEAT)
    store.call("reader", StoreCall("pods"))
    store.virtual_clock.run(store.virtual_clock.now + 3.0)
    assert [name for name, _ in store.answers] == ["reader"]
    while not store.server.is_undisturbed():
        store.virtual_clock.run(store.virtual_clock.now + 1.0)
    ((begin, end),) = store.state.gaps
    assert end - begin > 5.0


@pytest.mark.parametrize("model", [STANDARD, HYBRID])
def test_locks_of_tables_do_not_delay_heartbeats(model: StoreModel) -> None:
    store = SimulatedStore(model)
    store.hold_locks(20.0)
    store.virtual_clock.run(store.virtual_clock.now + 1.0)
    store.call("pod", HEARTBEAT)
    store.virtual_clock.run(store.virtual_clock.now + 5.0)
    assert [name for name, _ in store.answers] == ["pod"]
    store.virtual_clock.run(60.0)
    assert store.state.gaps == []
