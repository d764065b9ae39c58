"""Errors that the real connector raises: transient ones are counted and retried, all others stop a
pod with one line that says what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, TypeVar
from unittest.mock import patch

import pytest
from msgspec.structs import replace

from fleet_q import FleetQ
from fleet_q.adapters.ids import new_step_id
from fleet_q.adapters.open import open_store
from fleet_q.adapters.snowflake.deadline import FETCH_TIMEOUT
from fleet_q.adapters.snowflake.session import Rows, Session
from fleet_q.adapters.snowflake.statements import Statements
from fleet_q.adapters.snowflake.store import SnowflakeStore
from fleet_q.core.errors import (
    StoreContended,
    StoreError,
    StoreUnavailable,
    UnknownStoreError,
)
from fleet_q.core.pod import Join, Pod
from fleet_q.core.ports import FinalStep, Store, SyncRequest
from fleet_q.core.step import Complete, Recover, Submit
from fleet_q.services.app.connection import Connection
from fleet_q.services.app.settings import Settings
from tests.standin.client import QUICK_RETRIES, Schema, Standin
from tests.submitted import are_new
from tests.tables import create_tables
from tests.waiting import LIMIT, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.connector]

T = TypeVar("T")

SYNC = Statements().procedures["sync"].name.strip('"')
ENDLESS: dict[str, Any] = {"times": None, "repetitions": None}
GIVES_UP: dict[str, Any] = {**QUICK_RETRIES, "network_timeout": 1}
"""The connector retries a request for one second. A busy machine may need longer for a request
without a fault, so no test relies on a single answer to such a session."""


@pytest.fixture(scope="module")
def tables(standin: Standin) -> Iterator[Schema]:
    """A schema with tables, shared by the tests of this module."""
    schema = standin.schema()
    create_tables(schema)
    yield schema
    schema.drop()


@pytest.fixture
def migrated(tables: Schema) -> Iterator[Schema]:
    """That schema; faults and denied privileges are removed after the test."""
    yield tables
    tables.no_faults()
    tables.set(denied=[], storage="inline")


@pytest.fixture
def store(migrated: Schema) -> Iterator[SnowflakeStore]:
    """A signed-in store without retries."""
    store = SnowflakeStore({**migrated.parameters, **QUICK_RETRIES}, patience=0)
    store.check_schema()
    yield store
    migrated.no_faults()
    assert store.rebuild(check=True).equal
    store.close()


@pytest.fixture
def patient(migrated: Schema) -> Iterator[SnowflakeStore]:
    """The same, but it retries its calls."""
    store = SnowflakeStore({**migrated.parameters, **QUICK_RETRIES}, patience=LIMIT)
    yield store
    store.close()


@pytest.fixture
def impatient(migrated: Schema) -> Iterator[SnowflakeStore]:
    """The same with a connector that gives up a request without an answer."""
    store = SnowflakeStore({**migrated.parameters, **GIVES_UP}, patience=0)
    once_available(store.check_schema)
    store.session.errors.clear()
    yield store
    store.close()


def once_available(call: Callable[[], T]) -> T:
    """Repeat ``call`` until the store answers; returns what it returned."""

    def answer() -> list[T]:
        with suppress(StoreUnavailable):
            return [call()]
        return []

    return wait_until(answer)[0]


@pytest.fixture
def step_id() -> str:
    return new_step_id()


@pytest.fixture
def _credentials(migrated: Schema, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in migrated.environment.items():
        monkeypatch.setenv(name, value)


TRANSIENT = {
    "the lock has too many waiters": {"kind": "error", "code": "000625", "sqlstate": "57014"},
    "the statement was cancelled": {"kind": "error", "code": "000604", "sqlstate": "57014"},
    "the error is unknown": {"kind": "error", "code": "999999", "sqlstate": "XX000"},
    "the session is gone": {"kind": "error", "error": "gone"},
    "the session cannot be renewed": {"kind": "error", "error": "sign-in"},
}
UNANSWERED = {
    "no answer but 503": {"kind": "status", "status": 503, **ENDLESS},
    "no answer but 504": {"kind": "status", "status": 504, **ENDLESS},
    "no answer but 429": {"kind": "status", "status": 429, **ENDLESS},
    "the connection is always reset": {"kind": "reset", **ENDLESS},
    "the answer breaks off": {"kind": "break", **ENDLESS},
}


@pytest.mark.parametrize("fault", TRANSIENT.values(), ids=TRANSIENT.keys())
def test_transient_error_is_counted_and_its_call_can_be_retried(
    migrated: Schema, store: SnowflakeStore, step_id: str, fault: dict[str, Any]
) -> None:
    migrated.fault(on="call", **fault)
    with pytest.raises(StoreUnavailable) as error:
        store.submit([Submit(step_id, "{}", unique=True)])
    assert str(error.value).startswith("Snowflake: ")
    assert "\n" not in str(error.value)
    assert store.session.errors.total() == 1
    assert isinstance(error.value, StoreContended) == (fault.get("code") == "000625")
    assert isinstance(error.value, UnknownStoreError) == (fault.get("code") == "999999")
    migrated.no_faults()
    assert are_new(store.submit([Submit(step_id, "{}", unique=True)])) == [True]


@pytest.mark.parametrize("fault", UNANSWERED.values(), ids=UNANSWERED.keys())
def test_request_without_an_answer_is_given_up_and_can_be_retried(
    migrated: Schema,
    store: SnowflakeStore,
    impatient: SnowflakeStore,
    step_id: str,
    fault: dict[str, Any],
) -> None:
    migrated.fault(on="call", **fault)
    with pytest.raises(StoreUnavailable) as error:
        impatient.submit([Submit(step_id, "{}", unique=True)])
    assert str(error.value).startswith("Snowflake: ")
    assert "\n" not in str(error.value)
    assert impatient.session.errors.total() == 1
    assert not isinstance(error.value, StoreContended)
    migrated.no_faults()
    took_place = fault["kind"] == "break"
    assert (store.step(step_id) is not None) == took_place
    assert are_new(once_available(lambda: impatient.submit([Submit(step_id, "{}")]))) == [
        not took_place
    ]


def test_lock_held_for_too_long_is_a_transient_error(
    migrated: Schema, impatient: SnowflakeStore, step_id: str
) -> None:
    other = Session(migrated.parameters, Statements())
    other.execute("BEGIN TRANSACTION")
    other.execute("UPDATE SYNC_REQUESTS SET number = number")
    with pytest.raises(StoreUnavailable):
        impatient.submit([Submit(step_id, "{}")])
    other.execute("ROLLBACK")
    other.execute("DELETE FROM SYNC_REQUESTS")  # where the submission waits
    other.close()
    assert are_new(once_available(lambda: impatient.submit([Submit(step_id, "{}")]))) == [True]


def test_call_is_retried_until_it_succeeds(migrated: Schema, step_id: str) -> None:
    store = SnowflakeStore({**migrated.parameters, **QUICK_RETRIES}, patience=LIMIT)
    migrated.fault("error", on="write", code="000625", times=3)
    migrated.fault("error", on="call", error="gone", spare=1, times=1)
    assert are_new(store.submit([Submit(step_id, "{}")])) == [True]
    assert store.session.errors == {625: 3, 390111: 1}
    store.close()


ONCE = {
    "an expired session": {"kind": "error", "error": "expired"},
    "503": {"kind": "status", "status": 503},
    "a reset": {"kind": "reset"},
    "a dropped answer": {"kind": "drop"},
}


@pytest.mark.parametrize("fault", ONCE.values(), ids=ONCE.keys())
def test_error_that_the_connector_retries_is_neither_raised_nor_counted(
    migrated: Schema, store: SnowflakeStore, fault: dict[str, Any]
) -> None:
    store.sync(SyncRequest("pod", "one", Join("pod", "one")))
    token, step_id = f"token {new_step_id()}", new_step_id()
    migrated.fault(on="call", **fault)
    assert are_new(store.submit([Submit(step_id, "{}", unique=True)])) == [True]
    migrated.fault(on="call", **fault)
    claimed = store.sync(SyncRequest("pod", "one", claim=1_000, claim_token=token)).claimed
    assert step_id in [step.step_id for step in claimed]
    migrated.fault(on="call", **fault)
    done = Complete(step_id, token, "1")
    assert store.sync(SyncRequest("pod", "one", outcomes=(done,))).refused == ()
    assert [event.version for event in store.history(step_id)] == [1, 2, 3]
    assert store.session.errors.total() == 0


def test_call_that_took_place_counts_if_its_answer_and_session_are_lost(
    migrated: Schema, patient: SnowflakeStore, step_id: str
) -> None:
    migrated.fault("drop", on="call", then="sign-in")
    assert are_new(patient.submit([Submit(step_id, "{}", unique=True)])) == [True]
    assert patient.session.errors.total() == 1
    assert [event.version for event in patient.history(step_id)] == [1]


def test_call_that_did_not_take_place_is_repeated(
    migrated: Schema, patient: SnowflakeStore, step_id: str
) -> None:
    migrated.fault("reset", on="call", then="sign-in")
    assert are_new(patient.submit([Submit(step_id, "{}", unique=True)])) == [True]
    assert patient.session.errors.total() == 1
    assert [event.version for event in patient.history(step_id)] == [1]


def test_session_is_ended_after_a_call_without_an_answer(migrated: Schema) -> None:
    """What it has begun is cancelled, so that it cannot take place after its repetition."""
    store = SnowflakeStore({**migrated.parameters, **GIVES_UP, "socket_timeout": 1}, patience=0)

    def session() -> Rows:
        return once_available(lambda: store.session.execute("SELECT CURRENT_SESSION()"))

    def took_place_without_an_answer() -> str:
        before, step_id = session(), new_step_id()
        migrated.fault("hang", on="call", repetitions=None)
        with pytest.raises(StoreUnavailable):
            store.submit([Submit(step_id, "{}")])
        migrated.no_faults()
        assert session() != before
        return step_id if migrated.log(lambda entry: entry.fault == "hang") else ""

    step_id = wait_until(took_place_without_an_answer)
    assert are_new(once_available(lambda: store.submit([Submit(step_id, "{}")]))) == [False]
    store.close()


def test_sync_whose_answer_is_lost_is_repeated_by_the_pod(
    migrated: Schema, store: SnowflakeStore, step_id: str
) -> None:
    store.sync(SyncRequest("pod", "one", Join("pod", "one")))
    store.submit([Submit(step_id, "{}", priority=1)])
    request = SyncRequest("pod", "one", claim=1, claim_token=step_id)
    migrated.fault("drop", on="call", then="sign-in")
    with pytest.raises(StoreUnavailable):
        store.sync(request)
    assert [step.step_id for step in store.sync(replace(request, is_retry=True)).claimed] == [
        step_id
    ]
    request = SyncRequest("pod", "one", outcomes=(Complete(step_id, step_id, "1"),))
    migrated.fault("drop", on="call", then="sign-in")
    with pytest.raises(StoreUnavailable):
        store.sync(request)
    assert store.sync(replace(request, is_retry=True)).refused == ()
    assert [event.version for event in store.history(step_id)] == [1, 2, 3]


def test_sync_that_changed_steps_but_cannot_see_them_is_repeated(
    store: SnowflakeStore, step_id: str
) -> None:
    """Somebody has aborted its transaction, and its COMMIT raised no error."""
    call = store.session.call

    def aborted(name: str, **values: Any) -> Rows:
        first, *rest = call(name, **values)
        changed = 13  # the column of after_sync.sql
        return [(*first[:changed], 1, *first[changed + 1 :]), *rest]

    with (
        patch.object(store.session, "call", aborted),
        pytest.raises(StoreUnavailable, match="rolled back"),
    ):
        store.sync(SyncRequest("pod", "one", outcomes=(Complete(step_id, step_id, "1"),)))


POD_CALLS: dict[str, Callable[[Store], object]] = {
    "pods": lambda store: store.pods(),
    "declare_dead": lambda store: store.declare_dead([Pod("dead", "up", 0, 0, "one")]),
    "orphans": lambda store: store.orphans("", 1),
    "recover": lambda store: store.recover([Recover("a", "token")]),
    "final_steps": lambda store: store.final_steps(["completed"], 0, 1),
    "prune": lambda store: store.prune([FinalStep("a", 3)], 0),
    "prune_pod": lambda store: store.prune_pod(Pod("dead", "down", 0, 0, "one")),
}


@pytest.mark.usefixtures("_credentials")
@pytest.mark.parametrize("call", POD_CALLS.values(), ids=POD_CALLS)
def test_call_of_a_pod_is_tried_once_so_that_its_heartbeats_go_on(
    migrated: Schema, call: Callable[[Store], object]
) -> None:
    store, _ = Connection(migrated.url, Settings(), lambda task_type: None).open_for("pod")
    migrated.forget()
    for kind in ("call", "select"):
        migrated.fault("error", on=kind, code="000604", sqlstate="57014", times=None)
    with pytest.raises(StoreUnavailable):
        call(store)
    assert len(migrated.log()) == 1
    store.close()


def test_result_that_never_arrives_from_storage_fails_the_call_of_a_pod(
    migrated: Schema, store: SnowflakeStore, step_id: str
) -> None:
    store.sync(SyncRequest("pod", "one", Join("pod", "one")))
    store.submit([Submit(step_id, f'"{"x" * 200_000}"', priority=9)])
    pod = SnowflakeStore(migrated.parameters, patience=0, fetch_timeout=1.0)
    once_available(pod.check_schema)
    claim = SyncRequest("pod", "one", claim=1, claim_token=step_id)
    migrated.set(storage="hangs")
    with pytest.raises(StoreUnavailable, match="have not arrived within 1 s: let this machine"):
        pod.sync(claim)
    migrated.set(storage="serves")
    claimed = once_available(lambda: pod.sync(replace(claim, is_retry=True))).claimed
    assert [step.step_id for step in claimed] == [step_id]
    pod.close()


@pytest.mark.usefixtures("_credentials")
def test_store_of_a_pod_limits_the_time_of_its_results(migrated: Schema) -> None:
    store, _ = Connection(migrated.url, Settings(), lambda task_type: None).open_for("pod")
    assert isinstance(store, SnowflakeStore)
    assert store.session._fetch_timeout == FETCH_TIMEOUT
    assert Settings().dead_pod_threshold / 3 >= FETCH_TIMEOUT
    store.close()


@pytest.mark.usefixtures("_credentials")
@pytest.mark.parametrize(
    ("fault", "advice"),
    [
        ({"error": "password", "on": "login"}, "check SNOWFLAKE_USER and its password, key or"),
        ({"code": "390144", "on": "login"}, "check the key pair"),
        ({"code": "390201", "on": "login"}, "check SNOWFLAKE_DATABASE, SNOWFLAKE_SCHEMA and"),
        ({"code": "390318", "on": "login"}, "check SNOWFLAKE_TOKEN, or the file"),
        (
            {"code": "003001", "sqlstate": "42501"},
            "grant the role the privileges that fleet-q schema prints",
        ),
        ({"code": "000606", "sqlstate": "57P03"}, "SNOWFLAKE_WAREHOUSE"),
    ],
)
def test_permanent_error_stops_a_pod_at_once_with_advice(
    migrated: Schema, fault: dict[str, Any], advice: str
) -> None:
    migrated.fault("error", times=None, message="It is\nso.", **fault)
    assert_stopped(migrated, advice)


@pytest.mark.usefixtures("_credentials")
def test_account_that_rejects_all_logins_stops_a_pod_with_advice(migrated: Schema) -> None:
    migrated.fault("status", on="login", status=403, **ENDLESS)
    assert_stopped(migrated, "check SNOWFLAKE_ACCOUNT")


@pytest.mark.usefixtures("_credentials")
def test_missing_tables_stop_a_pod_with_advice(schema: Schema) -> None:
    assert_stopped(schema, "create the tables with: fleet-q schema --store snowflake:// --apply")


@pytest.mark.usefixtures("_credentials")
@pytest.mark.parametrize("name", ["declare_dead", "recover", "fold_heartbeats", "sync"])
def test_pod_without_a_privilege_that_it_will_need_does_not_start(
    migrated: Schema, name: str
) -> None:
    procedure = Statements().procedures[name].name
    migrated.set(denied=[["USAGE", procedure.strip('"')]])
    app = FleetQ(migrated.url, settings=Settings())

    async def run() -> None:
        async with app.running():
            pass

    with pytest.raises(StoreError, match="fleet-q schema --store snowflake:// --apply") as error:
        asyncio.run(run())
    assert f"Snowflake: {procedure} missing, or not to be called by this role" in str(error.value)
    assert app.submit({})  # a client needs no privilege of pods
    app.close()


def test_procedure_that_is_not_listed_but_can_be_called_counts_as_there(
    store: SnowflakeStore,
) -> None:
    with patch.object(store.session, "show", return_value=[]):
        store.check_privileges()


def test_unavailable_store_is_no_missing_privilege(migrated: Schema, store: SnowflakeStore) -> None:
    migrated.set(denied=[["USAGE", SYNC]])
    migrated.fault("error", on="call", code="000604", sqlstate="57014", times=1)
    with pytest.raises(StoreError, match="not to be called by this role"):
        store.check_privileges()


def assert_stopped(schema: Schema, advice: str) -> None:
    schema.forget()
    with pytest.raises(StoreError) as error:
        open_store(schema.url)
    assert not isinstance(error.value, StoreUnavailable)
    assert advice in str(error.value)
    assert "\n" not in str(error.value)
    assert len(schema.log()) <= 1


@pytest.mark.usefixtures("_credentials")
def test_missing_privilege_stops_a_running_pod_with_advice(migrated: Schema) -> None:
    app = FleetQ(migrated.url, settings=Settings(recovery_interval=3_600))
    app.executor(lambda step: None)

    async def run() -> str:
        async with app.running() as pod:
            migrated.set(denied=[["USAGE", SYNC]])
            app.submit({})
            await asyncio.to_thread(pod.ended.wait, LIMIT)
            return str(pod.error)

    assert "fleet-q schema --store snowflake:// --apply" in asyncio.run(run())
    app.close()
