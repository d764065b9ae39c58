"""The simulated Snowflake: times at client and server, slots of the warehouse, locks and faults."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from fleet_q.adapters.snowflake.deadline import FETCH_TIMEOUT
from fleet_q.adapters.snowflake.times import SLOTS, Times
from fleet_q.core.calls import StoreCall
from fleet_q.core.errors import DataRefused, StoreContended, StoreUnavailable
from fleet_q.core.pod import SendHeartbeat
from fleet_q.core.ports import SyncRequest
from fleet_q.core.step import Submit
from fleet_q.services.simulation import scripts, server
from fleet_q.services.simulation.actor import Actor, Process
from fleet_q.services.simulation.models import Script, Statement, StoreModel, fixed, standard
from fleet_q.services.simulation.scenario import StaleReads, TransactionFault
from fleet_q.services.simulation.stale import LAG
from tests.simulation.test_server import CLAIM, SimulatedStore

TIMES = Times(
    request=1.0,
    select=10.0,
    metadata=2.0,
    insert=10.0,
    update=10.0,
    begin=0.0,
    commit=1.0,
    call=3.0,
)
MODEL = replace(standard(TIMES), time_sigma=0.0, lock_timeout=1_000.0, statement_timeout=1_000.0)

UPDATE = Statement("UPDATE", 10.0, ("table",), needs_slot=True)
INSERT = Statement("INSERT", 10.0, needs_slot=True, insert_locks=("table",))
COMMIT = Statement("COMMIT", 1.0, does=StoreCall("pods"))
HEARTBEAT = StoreCall("sync", (SyncRequest("pod", "i", SendHeartbeat("pod", "i")),))


class ScriptedStore(SimulatedStore):
    """A store whose calls ``custom`` are carried out by the statements that a test gives; times are
    counted from its start, and each answer's time is kept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, model: Any = MODEL) -> None:
        self.start = 0.0
        self.ended: dict[str, float] = {}
        super().__init__(model)

        def script(model: Any, call: StoreCall, actor: Any, *inbox: Any) -> Script:
            if call.method == "custom":
                return fixed(*call.args)
            return scripts.script(model, call, actor, *inbox)

        monkeypatch.setattr(server, "script", script)
        self.virtual_clock.run(200.0)
        self.start = self.virtual_clock.now
        self.answers.clear()
        self.ended.clear()

    def run(self, name: str, *statements: Statement) -> Actor:
        return self.call(name, StoreCall("custom", statements))

    def _ask(self, name: str, call: StoreCall) -> Any:
        yield from super()._ask(name, call)
        self.ended[name] = self.virtual_clock.now - self.start

    def until(self, seconds: float) -> None:
        self.virtual_clock.run(self.start + seconds)


def one_request(model: StoreModel, *statements: Statement) -> tuple[Statement, ...]:
    """The statements of a stored procedure: the client sends one request, and they run one after
    another on the server."""
    first, *others = statements
    first = replace(first, seconds=first.seconds + model.call)
    return (first, *(replace(other, begins_request=False) for other in others))


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> ScriptedStore:
    return ScriptedStore(monkeypatch)


def test_request_is_spent_around_each_statement(store: ScriptedStore) -> None:
    store.run("client", UPDATE, COMMIT)
    store.until(100)
    assert store.ended["client"] == pytest.approx(1 + 10 + 1 + 1)


def test_procedure_is_one_request(store: ScriptedStore) -> None:
    store.run("client", *one_request(MODEL, UPDATE, INSERT, COMMIT))
    store.until(100)
    assert store.ended["client"] == pytest.approx(1 + 3 + 10 + 10 + 1)


def test_lock_is_held_from_its_statement_to_the_end_of_the_commit(store: ScriptedStore) -> None:
    store.run("first", UPDATE, COMMIT)
    store.run("second", UPDATE, COMMIT)
    store.until(100)
    assert store.ended["second"] - store.ended["first"] == pytest.approx(10 + 1 + 1)


def test_statements_queue_for_the_slots_of_a_cluster(store: ScriptedStore) -> None:
    for number in range(SLOTS + 1):
        store.run(str(number), Statement("SELECT", 10.0, needs_slot=True))
    store.until(100)
    assert sorted(store.ended.values()) == pytest.approx([11.0] * SLOTS + [21.0])


def test_more_clusters_have_more_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    store = ScriptedStore(monkeypatch, replace(MODEL, slots=standard(TIMES, clusters=2).slots))
    for number in range(2 * SLOTS + 1):
        store.run(str(number), Statement("SELECT", 10.0, needs_slot=True))
    store.until(100)
    assert sorted(store.ended.values()) == pytest.approx([11.0] * 2 * SLOTS + [21.0])


def test_change_counter_needs_no_slot(store: ScriptedStore) -> None:
    for number in range(SLOTS):
        store.run(str(number), Statement("SELECT", 10.0, needs_slot=True))
    store.call("counter", StoreCall("change_counter"))
    store.until(100)
    assert store.ended["counter"] == pytest.approx(1 + 2)


def test_statement_that_waits_for_a_lock_takes_no_slot(store: ScriptedStore) -> None:
    for number in range(SLOTS):
        store.run(str(number), UPDATE, COMMIT)
    store.until(0.9)
    store.run("query", Statement("SELECT", 10.0, needs_slot=True))
    store.until(500)
    assert store.ended["query"] == pytest.approx(0.9 + 11)


def test_next_statement_of_a_lock_holder_queues_for_a_slot(store: ScriptedStore) -> None:
    store.run("holder", UPDATE, Statement("UPDATE", 10.0, ("table",), needs_slot=True))
    store.until(10.5)  # its second statement has not arrived
    for number in range(SLOTS):
        store.run(str(number), Statement("SELECT", 50.0, needs_slot=True))
    store.until(200)
    assert store.ended["holder"] > 50


def test_statement_that_waits_for_a_slot_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    store = ScriptedStore(monkeypatch, replace(MODEL, statement_timeout=30.0))
    for number in range(SLOTS):
        store.run(str(number), Statement("SELECT", 100.0, needs_slot=True))
    store.run("late", UPDATE, COMMIT)
    store.run("waits for its lock", UPDATE, COMMIT)
    store.until(50)
    assert {name: type(answer) for name, answer in store.answers} == {
        "late": StoreUnavailable,
        "waits for its lock": StoreUnavailable,
    }
    assert store.server.stats.slot_timeouts == 1


@pytest.mark.parametrize("abort_detached", [False, True])
def test_statement_of_killed_client_goes_on_unless_it_is_aborted(
    monkeypatch: pytest.MonkeyPatch, abort_detached: bool
) -> None:
    store = ScriptedStore(monkeypatch, replace(MODEL, abort_detached=abort_detached))
    store.run("holder", UPDATE, Statement("SELECT slow", 400.0), COMMIT)
    store.until(1)
    victim = store.run("victim", *one_request(MODEL, UPDATE, replace(COMMIT, does=CLAIM)))
    store.until(5)
    victim.kill()
    store.until(500)
    assert store.claimed() == (0 if abort_detached else 1)
    assert "victim" not in store.ended


def test_transaction_of_killed_client_keeps_its_lock_for_five_minutes(store: ScriptedStore) -> None:
    victim = store.run("victim", UPDATE, COMMIT)
    store.until(5)
    victim.kill()
    store.run("other", UPDATE, COMMIT)
    store.until(1_000)
    assert store.ended["other"] == pytest.approx(11.0 + 300.0 + 12.0, abs=3.0)


def test_deadlock_fails_the_later_statement(store: ScriptedStore) -> None:
    other = replace(UPDATE, locks=("other table",))
    store.run("first", UPDATE, other, COMMIT)
    store.until(1)
    store.run("second", other, UPDATE, COMMIT)
    store.until(100)
    assert [name for name, answer in store.answers if isinstance(answer, Exception)] == ["second"]
    assert store.server.stats.deadlocks == 1
    assert store.ended["first"] > store.ended["second"]


@pytest.mark.parametrize(("is_procedure", "rolls_back_after"), [(False, 2.0), (True, 0.0)])
def test_failed_transaction_is_rolled_back_by_its_client_or_by_its_procedure(
    monkeypatch: pytest.MonkeyPatch, is_procedure: bool, rolls_back_after: float
) -> None:
    model = replace(MODEL, call=0.0, lock_timeout=20.0)
    store = ScriptedStore(monkeypatch, model)
    other = replace(UPDATE, locks=("other table",))
    store.run("holder", other, Statement("SELECT slow", 400.0), COMMIT)
    statements = (UPDATE, other, COMMIT)
    store.run("fails", *(one_request(model, *statements) if is_procedure else statements))
    store.until(25)
    store.run("waits", UPDATE, COMMIT)
    store.until(100)
    assert store.server.stats.waits[-1] == pytest.approx(0.5 + 10 + 20 - 25.5 + rolls_back_after)


@pytest.mark.parametrize("waits", [False, True])
def test_inserts_may_wait_for_the_lock_of_their_table(store: ScriptedStore, waits: bool) -> None:
    if waits:
        store.state.begin_waiting_inserts(100.0)
    store.run("update", UPDATE, COMMIT)
    store.run("insert", INSERT, COMMIT)
    store.until(100)
    assert (store.ended["insert"] > 20) == waits


def test_insert_is_rejected_if_too_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    store = ScriptedStore(monkeypatch, replace(MODEL, most_waiters=1))
    store.state.begin_waiting_inserts(100.0)
    store.run("update", UPDATE, COMMIT)
    store.run("waits", INSERT, COMMIT)
    store.run("rejected", INSERT, COMMIT)
    store.until(9)
    assert [(name, type(answer)) for name, answer in store.answers] == [
        ("rejected", StoreContended)
    ]


@pytest.mark.parametrize("then", ["unknown error", "deadlocks"])
def test_error_that_is_not_known_to_be_fatal_is_temporary(then: Any) -> None:
    store = SimulatedStore(standard())
    store.server.transaction_faults["pod"] = [TransactionFault(0.0, "pod", 0, then=then)]
    store.call("pod", CLAIM)
    store.virtual_clock.run(60.0)
    ((_, answer),) = store.answers
    assert isinstance(answer, StoreUnavailable)
    assert store.claimed() == 0


def test_stale_read_does_not_see_the_last_commit_of_another_session() -> None:
    store = SimulatedStore(standard())
    store.stale.begin(StaleReads(0.0, "step_events", 1.0, 100.0))
    store.virtual_clock.run(20.0)
    store.call("reader", StoreCall("change_counter"))
    store.virtual_clock.run(25.0)
    store.call("writer", StoreCall("submit", ([Submit("new", "{}", unique=True)],)))
    while not any(name == "writer" for name, _ in store.answers):
        store.virtual_clock.run(store.virtual_clock.now + 0.1)
    store.call("reader", StoreCall("change_counter"))
    store.virtual_clock.run(store.virtual_clock.now + 1.0 + LAG)
    store.call("reader", StoreCall("change_counter"))
    store.virtual_clock.run(50.0)
    counts = [answer for name, answer in store.answers if name == "reader"]
    assert counts == [counts[0], counts[0], counts[0] + 1]


def test_session_sees_its_own_commit_although_reads_are_stale(monkeypatch: Any) -> None:
    store = ScriptedStore(monkeypatch)
    store.stale.begin(StaleReads(0.0, "step_events", 1.0, 1_000.0))
    submit = StoreCall("submit", ([Submit("new", "{}", unique=True)],))
    counters: list[int] = []

    def session() -> Process:
        counters.append((yield StoreCall("change_counter")))
        yield StoreCall("custom", (Statement("COMMIT", 0.0, does=submit),))
        counters.append((yield StoreCall("change_counter")))

    Actor("session", store.virtual_clock, store.server).begin(session())
    store.until(100)
    assert counters[1] == counters[0] + 1


def test_timestamp_may_precede_the_wait_for_a_lock() -> None:
    store = SimulatedStore(standard())
    store.state.begin_early_timestamps(1_000.0)
    early: list[int] = []
    store.server._on_done = lambda *_: early.append(store.database.early_by)
    store.call("pod", CLAIM)
    store.virtual_clock.run(60.0)
    assert max(early) > 500_000


@pytest.mark.parametrize(("claim", "arrives"), [(1, True), (3, False)])
def test_large_result_is_lost_if_its_storage_does_not_answer(claim: int, arrives: bool) -> None:
    store = SimulatedStore(standard())
    store.state.begin_unreachable_storage("pod", 1_000.0)
    request = SyncRequest("pod", "i", claim=claim, claim_token="x")
    store.call("pod", StoreCall("sync", (request,)))
    store.virtual_clock.run(30.0 + FETCH_TIMEOUT)
    assert store.claimed() == claim
    assert [isinstance(answer, StoreUnavailable) for _, answer in store.answers] == [not arrives]


def test_value_that_is_too_large_is_refused() -> None:
    store = SimulatedStore(standard())
    store.call("pod", StoreCall("cancel", ("too large",)))
    store.virtual_clock.run(20.0)
    assert [type(answer) for _, answer in store.answers] == [DataRefused]
