"""The simulated store: before its commit a call has not happened, after it it has, whole."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from fleet_q.core.calls import StoreCall
from fleet_q.core.errors import FleetQError, StoreContended, StoreUnavailable
from fleet_q.core.pod import Join, SendHeartbeat
from fleet_q.core.ports import SyncRequest
from fleet_q.core.step import Submit
from fleet_q.services.simulation.actor import Actor, Life
from fleet_q.services.simulation.client import hold_locks
from fleet_q.services.simulation.locks import LockTable
from fleet_q.services.simulation.models import HYBRID, MODELS, SQLITE, STANDARD, StoreModel
from fleet_q.services.simulation.recording import RecordingDatabase
from fleet_q.services.simulation.scenario import STRANGER, TransactionFault
from fleet_q.services.simulation.scripts import script
from fleet_q.services.simulation.server import Server
from fleet_q.services.simulation.virtual_clock import VirtualClock

CLAIM = StoreCall("sync", (SyncRequest("pod", "i", claim=1, claim_token="x"),))


class Room:
    """A store with one pod and some steps in it, and whoever calls."""

    def __init__(self, model: StoreModel) -> None:
        self.virtual_clock = VirtualClock()
        self.database = RecordingDatabase(self.virtual_clock.store_time, model.traits)
        self.heard: list[tuple[str, Any]] = []
        self.server = Server(
            self.virtual_clock,
            model,
            self.database,
            Random(1),
            told=lambda *_: None,
            died=lambda actor, _: actor.kill(),
            longest_gap=5.0,
        )
        self.call("first", StoreCall("submit", ([Submit(f"s{n}", "{}") for n in range(40)],)))
        self.call("first", StoreCall("sync", (SyncRequest("pod", "i", Join("pod", "i")),)))
        self.virtual_clock.run(10.0)
        self.heard.clear()
        del self.server.waits[:]

    def call(self, name: str, call: StoreCall) -> Actor:
        actor = Actor(name, self.virtual_clock, self.server)
        actor.begin(self._ask(name, call))
        return actor

    def _ask(self, name: str, call: StoreCall) -> Life:
        try:
            answer = yield call
        except FleetQError as error:
            answer = error
        self.heard.append((name, answer))

    def claimed(self) -> int:
        return len(self.database.by_status["claimed"])


@pytest.mark.parametrize("then", ["fails", "dies"])
@pytest.mark.parametrize("kind", sorted(MODELS))
def test_trouble_between_any_two_statements(kind: str, then: Any) -> None:
    model = MODELS[kind]
    statements = script(model, CLAIM, Room(model).database)
    commit = next(n for n, each in enumerate(statements) if each.does is not None)
    for number in range(len(statements) + 1):
        room = Room(model)
        room.server.strikes["pod"] = [TransactionFault(0.0, "pod", number, then=then)]
        room.call("pod", CLAIM)
        room.virtual_clock.run(60.0)
        assert room.claimed() == (1 if number > commit else 0), (number, statements)
        assert [type(answer) for _, answer in room.heard] == (
            [StoreUnavailable] if then == "fails" else []
        )


def test_who_is_killed_after_it_sent_the_commit_has_done_it() -> None:
    room = Room(STANDARD)
    actor = room.call("pod", CLAIM)
    while not room.claimed():
        room.virtual_clock.run(room.virtual_clock.now + 0.01)
    before = Room(STANDARD)
    victim = before.call("pod", CLAIM)
    before.virtual_clock.run(room.virtual_clock.now - 0.02)  # the commit is on its way
    victim.kill()
    before.virtual_clock.run(60.0)
    assert before.claimed() == 1
    assert before.heard == []
    assert actor.alive


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_who_stands_still_in_the_midst_goes_on(kind: str) -> None:
    room = Room(MODELS[kind])
    room.server.strikes["pod"] = [TransactionFault(0.0, "pod", 1, seconds=1.0, then="goes on")]
    room.call("pod", CLAIM).freeze(30.0)
    room.virtual_clock.run(35.0)
    assert room.claimed() == 0
    room.virtual_clock.run(60.0)
    assert room.claimed() == 1
    assert [name for name, _ in room.heard] == ["pod"]


def test_twenty_wait_for_a_lock_and_no_more() -> None:
    room = Room(STANDARD)
    for number in range(25):
        request = SyncRequest("pod", "i", claim=1, claim_token=f"x{number}")
        room.call(str(number), StoreCall("sync", (request,)))
    room.virtual_clock.run(100.0)
    refused = [name for name, answer in room.heard if isinstance(answer, StoreUnavailable)]
    assert len(refused) == room.server.refusals == 4
    assert len(room.heard) == 25
    assert len(room.server.waits) == 20


def test_who_waited_longest_is_next() -> None:
    granted: list[str] = []
    locks = LockTable[str](None, granted.append)
    assert [locks.take("table", who) for who in "abc"] == [True, False, False]
    locks.leave("table", "b")
    assert locks.take("table", "b") is False
    for _ in range(3):
        locks.release("table")
    assert granted == ["c", "b"]
    assert locks.take("table", "d") is True


def test_rows_are_locked_one_by_one_on_hybrid_tables() -> None:
    room = Room(HYBRID)
    calls: list[Callable[[], object]] = [
        lambda n=n: room.call(str(n), StoreCall("cancel", (f"s{n}",)))  # type: ignore[misc]
        for n in range(25)
    ]
    for call in calls:
        call()
    room.virtual_clock.run(20.0)
    assert len(room.server.waits) == 0
    assert len(room.database.by_status["cancelled"]) == 25


@pytest.mark.parametrize(("model", "kept_for"), [(STANDARD, 300.0), (SQLITE, 0.0)])
def test_how_long_the_dead_keep_a_lock(model: StoreModel, kept_for: float) -> None:
    room = Room(model)
    room.server.strikes["pod"] = [
        TransactionFault(0.0, "pod", 4 if model is STANDARD else 2, then="dies")
    ]
    room.call("pod", CLAIM)
    room.virtual_clock.run(room.virtual_clock.now + 5.0)
    began = room.virtual_clock.now
    assert room.server.is_calm() == (kept_for == 0.0)
    while not room.server.is_calm():
        room.virtual_clock.run(room.virtual_clock.now + 1.0)
    assert room.virtual_clock.now - began == pytest.approx(kept_for, abs=6.0)
    assert room.claimed() == 0


def test_a_lock_is_not_waited_for_for_ever() -> None:
    room = Room(STANDARD)
    room.server.strikes["pod"] = [TransactionFault(0.0, "pod", 4, then="dies")]
    room.call("pod", CLAIM)
    room.virtual_clock.run(12.0)
    room.call("other", CLAIM)
    room.virtual_clock.run(12.0 + STANDARD.lock_timeout + 5.0)
    assert [(name, type(answer)) for name, answer in room.heard] == [("other", StoreContended)]
    assert room.server.timeouts == 1


@pytest.mark.parametrize("model", [HYBRID, SQLITE])
def test_elsewhere_nothing_says_that_it_was_a_lock(model: StoreModel) -> None:
    room = Room(model)
    statements = script(model, CLAIM, room.database)
    commit = next(n for n, each in enumerate(statements) if each.does is not None)
    room.server.strikes["pod"] = [TransactionFault(0.0, "pod", commit, 200.0, then="goes on")]
    room.call("pod", CLAIM)
    room.virtual_clock.run(12.0)
    room.call("other", CLAIM)
    room.virtual_clock.run(12.0 + model.lock_timeout + 5.0)
    assert [(name, type(answer)) for name, answer in room.heard] == [("other", StoreUnavailable)]
    assert room.server.timeouts == 1


def test_a_store_that_goes_away_answers_nobody() -> None:
    room = Room(STANDARD)
    room.call("pod", CLAIM)
    room.virtual_clock.run(10.1)
    room.server.go_away(30.0)
    room.call("other", CLAIM)
    room.virtual_clock.run(20.0)
    assert sorted(name for name, _ in room.heard) == ["other", "pod"]
    assert {type(answer) for _, answer in room.heard} == {StoreUnavailable}
    assert room.claimed() == 0
    room.virtual_clock.run(45.0)
    room.call("late", CLAIM)
    room.virtual_clock.run(60.0)
    assert room.claimed() == 1


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_a_stranger_with_all_locks_keeps_heartbeats_waiting_and_no_queries(kind: str) -> None:
    room = Room(MODELS[kind])
    holder = Actor(STRANGER, room.virtual_clock, room.server)
    holder.begin(hold_locks(20.0, ("pod",)))
    room.virtual_clock.run(room.virtual_clock.now + 1.0)
    assert not room.server.is_calm()
    room.call("pod", StoreCall("sync", (SyncRequest("pod", "i", SendHeartbeat("pod", "i")),)))
    room.call("reader", StoreCall("pods"))
    room.virtual_clock.run(room.virtual_clock.now + 3.0)
    assert [name for name, _ in room.heard] == ["reader"]
    while not room.server.is_calm():
        room.virtual_clock.run(room.virtual_clock.now + 1.0)
    ((begin, end),) = room.server.gaps
    assert end - begin > 5.0
