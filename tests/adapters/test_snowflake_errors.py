"""What goes wrong with Snowflake, as the real connector tells it: what passes is waited for and
counted, all else stops a pod with one line that says what to do."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from unittest.mock import patch

import pytest
from msgspec.structs import replace

from fleet_q import FleetQ
from fleet_q.adapters.open import open_store
from fleet_q.adapters.snowflake.session import Session, new_change_id
from fleet_q.adapters.snowflake.statements import Statements
from fleet_q.adapters.snowflake.store import SnowflakeStore
from fleet_q.core.errors import StoreContended, StoreError, StoreUnavailable
from fleet_q.core.pod import Join
from fleet_q.core.ports import SyncRequest
from fleet_q.core.step import Complete, Submit
from fleet_q.services.app.ids import new_step_id
from fleet_q.services.app.settings import Settings
from tests.standin.client import Schema, Standin
from tests.tables import create_tables
from tests.waiting import LIMIT, wait_until

pytestmark = pytest.mark.slow

T = TypeVar("T")

FOR_EVER: dict[str, Any] = {"times": None, "repetitions": None}
QUICK_REPEATS: dict[str, Any] = {
    "backoff_policy": lambda: itertools.repeat(0.05),  # of 4.x; that of 5.x is as quick by itself
}
GIVES_UP: dict[str, Any] = {**QUICK_REPEATS, "network_timeout": 1}
"""The connector repeats a request for a second. A busy machine may take longer for a request that
nothing is wrong with, so no test relies on one that such a session is to answer."""


@pytest.fixture(scope="module")
def tables(standin: Standin) -> Iterator[Schema]:
    """A schema with the tables in it, which all tests here share."""
    schema = standin.schema()
    create_tables(schema)
    yield schema
    schema.drop()


@pytest.fixture
def made(tables: Schema) -> Iterator[Schema]:
    """That schema, in which nothing goes wrong yet."""
    yield tables
    tables.no_faults()
    tables.set(denied=[])


@pytest.fixture
def store(made: Schema) -> Iterator[SnowflakeStore]:
    """A store that is signed in, and tries each call once."""
    store = SnowflakeStore({**made.parameters, **QUICK_REPEATS}, patience=0)
    store.check_schema()
    yield store
    made.no_faults()
    assert store.rebuild(check=True).equal
    store.close()


@pytest.fixture
def hurried(made: Schema) -> Iterator[SnowflakeStore]:
    """The same, but its connector gives up a request that is not answered."""
    store = SnowflakeStore({**made.parameters, **GIVES_UP}, patience=0)
    in_the_end(store.check_schema)
    store.session.errors.clear()
    yield store
    store.close()


def in_the_end(call: Callable[[], T]) -> T:
    """What ``call`` returns once the store answers."""

    def answer() -> list[T]:
        with suppress(StoreUnavailable):
            return [call()]
        return []

    return wait_until(answer)[0]


@pytest.fixture
def step_id() -> str:
    return new_step_id()


@pytest.fixture
def _signing_in(made: Schema, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)


PASSING = {
    "the lock has too many waiters": {"kind": "error", "code": "000625", "sqlstate": "57014"},
    "the statement was cancelled": {"kind": "error", "code": "000604", "sqlstate": "57014"},
    "the session is gone": {"kind": "error", "error": "gone"},
    "the session cannot be renewed": {"kind": "error", "error": "sign-in"},
}
UNANSWERED = {
    "no answer but 503": {"kind": "status", "status": 503, **FOR_EVER},
    "no answer but 504": {"kind": "status", "status": 504, **FOR_EVER},
    "no answer but 429": {"kind": "status", "status": 429, **FOR_EVER},
    "the connection is always reset": {"kind": "reset", **FOR_EVER},
    "the answer breaks off": {"kind": "break", **FOR_EVER},
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
def test_what_passes_is_counted_and_may_be_tried_again(
    made: Schema, store: SnowflakeStore, step_id: str, fault: dict[str, Any]
) -> None:
    made.fault(on="write", **fault)
    with pytest.raises(StoreUnavailable) as error:
        store.submit([Submit(step_id, "{}", unique=True)])
    assert str(error.value).startswith("Snowflake: ")
    assert "\n" not in str(error.value)
    assert store.session.errors.total() == 1
    assert isinstance(error.value, StoreContended) == (fault.get("code") == "000625")
    made.no_faults()
    assert store.submit([Submit(step_id, "{}", unique=True)]) == [True]


@pytest.mark.parametrize("fault", UNANSWERED.values(), ids=UNANSWERED.keys())
def test_what_is_never_answered_is_given_up_and_may_be_tried_again(
    made: Schema,
    store: SnowflakeStore,
    hurried: SnowflakeStore,
    step_id: str,
    fault: dict[str, Any],
) -> None:
    made.fault(on="write", **fault)
    with pytest.raises(StoreUnavailable) as error:
        hurried.submit([Submit(step_id, "{}", unique=True)])
    assert str(error.value).startswith("Snowflake: ")
    assert "\n" not in str(error.value)
    assert hurried.session.errors.total() == 1
    assert not isinstance(error.value, StoreContended)
    made.no_faults()
    assert store.step(step_id) is None
    assert in_the_end(lambda: hurried.submit([Submit(step_id, "{}")])) == [True]


def test_a_lock_that_is_held_for_too_long_passes(
    made: Schema, hurried: SnowflakeStore, step_id: str
) -> None:
    other = Session(made.parameters, Statements())
    with other.transaction(new_change_id()) as tx:
        tx.run("lock_submissions")
        with pytest.raises(StoreUnavailable):
            hurried.submit([Submit(step_id, "{}")])
    other.close()
    assert in_the_end(lambda: hurried.submit([Submit(step_id, "{}")])) == [True]


def test_a_call_is_tried_again_until_it_works(made: Schema, step_id: str) -> None:
    store = SnowflakeStore({**made.parameters, **QUICK_REPEATS}, patience=LIMIT)
    made.fault("error", on="write", code="000625", times=3)
    made.fault("error", on="begin", error="gone", times=1)
    assert store.submit([Submit(step_id, "{}")]) == [True]
    assert store.session.errors == {625: 3, 390111: 1}
    store.close()


ONCE = {
    "an expired session": {"kind": "error", "error": "expired"},
    "503": {"kind": "status", "status": 503},
    "a reset": {"kind": "reset"},
    "a dropped answer": {"kind": "drop"},
}


@pytest.mark.parametrize("fault", ONCE.values(), ids=ONCE.keys())
def test_what_the_connector_mends_is_not_noticed(
    made: Schema, store: SnowflakeStore, fault: dict[str, Any]
) -> None:
    store.sync(SyncRequest("pod", "one", Join("pod", "one")))
    for on in ("begin", "write", "commit"):
        token, step_id = f"token {new_step_id()}", new_step_id()
        store.submit([Submit(step_id, "{}", unique=True)])
        made.fault(on=on, **fault)
        claimed = store.sync(SyncRequest("pod", "one", claim=1_000, claim_token=token)).claimed
        assert step_id in [step.step_id for step in claimed]
        made.fault(on=on, **fault)
        done = Complete(step_id, token, "1")
        assert store.sync(SyncRequest("pod", "one", outcomes=(done,))).refused == ()
        assert [event.version for event in store.history(step_id)] == [1, 2, 3]
    assert store.session.errors.total() == 0


def test_a_commit_counts_if_it_took_place_though_answer_and_session_are_lost(
    made: Schema, store: SnowflakeStore, step_id: str
) -> None:
    made.fault("drop", on="commit", then="sign-in")
    assert store.submit([Submit(step_id, "{}")]) == [True]
    assert store.session.errors.total() == 1
    made.fault("reset", on="commit", then="sign-in")
    another = new_step_id()
    with pytest.raises(StoreUnavailable):
        store.submit([Submit(another, "{}")])
    assert store.step(another) is None


def test_a_commit_counts_if_it_took_place_though_its_answer_never_comes(
    made: Schema, store: SnowflakeStore, hurried: SnowflakeStore, step_id: str
) -> None:
    made.forget()
    made.fault("drop", on="commit", repetitions=None)
    assert in_the_end(lambda: hurried.submit([Submit(step_id, "{}", unique=True)])) == [True]
    assert [each.text for each in made.log(lambda each: each.fault == "drop")] == ["COMMIT"]
    assert [event.version for event in store.history(step_id)] == [1]
    made.fault("reset", on="commit", repetitions=None)
    another = new_step_id()
    with pytest.raises(StoreUnavailable):
        hurried.submit([Submit(another, "{}")])
    assert store.step(another) is None


def test_a_transaction_that_could_not_be_taken_back_is_not_gone_on_with(
    made: Schema, store: SnowflakeStore, hurried: SnowflakeStore, step_id: str
) -> None:
    made.fault("reset", on="insert", matching='INTO "STEP_EVENTS"', repetitions=None)
    made.fault("reset", on="rollback", repetitions=None)
    with pytest.raises(StoreUnavailable):
        hurried.submit([Submit(step_id, "{}")])
    assert in_the_end(lambda: hurried.submit([Submit(new_step_id(), "{}")])) == [True]
    assert store.step(step_id) is None


def test_a_transaction_that_snowflake_took_back_did_not_take_place_whatever_the_commit_says(
    made: Schema, store: SnowflakeStore, step_id: str
) -> None:
    """It does so where others wait and it has been idle for five minutes; here for less."""
    store.sync(SyncRequest("pod", "one", Join("pod", "one")))
    store.submit([Submit(step_id, "{}", priority=1)])
    request = SyncRequest("pod", "one", claim=1, claim_token=step_id)
    with standing_still(store, made), pytest.raises(StoreUnavailable, match="rolled back"):
        store.sync(request)
    assert [step.step_id for step in store.sync(replace(request, is_retry=True)).claimed] == [
        step_id
    ]
    request = SyncRequest("pod", "one", outcomes=(Complete(step_id, step_id, "1"),))
    with standing_still(store, made), pytest.raises(StoreUnavailable, match="rolled back"):
        store.sync(request)
    assert store.sync(replace(request, is_retry=True)).refused == ()
    assert [event.version for event in store.history(step_id)] == [1, 2, 3]


@contextmanager
def standing_still(store: SnowflakeStore, schema: Schema) -> Iterator[None]:
    """Before its next commit the store stands still, until somebody has got what it has locked."""
    other = Session(schema.parameters, Statements())
    commit = store.session._commit

    def late(change_id: str) -> None:
        other.execute("UPDATE step_tracker SET version = version WHERE FALSE")
        commit(change_id)

    schema.set(idle_abort=0.1)
    with patch.object(store.session, "_commit", late):
        yield
    schema.set(idle_abort=300)
    other.close()


@pytest.mark.usefixtures("_signing_in")
@pytest.mark.parametrize(
    ("fault", "says"),
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
def test_what_does_not_pass_stops_a_pod_at_once_with_what_to_do(
    made: Schema, fault: dict[str, Any], says: str
) -> None:
    made.fault("error", times=None, message="It is\nso.", **fault)
    assert_stopped(made, says)


@pytest.mark.usefixtures("_signing_in")
def test_so_with_an_account_that_lets_nobody_in(made: Schema) -> None:
    made.fault("status", on="login", status=403, **FOR_EVER)
    assert_stopped(made, "check SNOWFLAKE_ACCOUNT")


@pytest.mark.usefixtures("_signing_in")
def test_so_with_tables_that_are_not_there(schema: Schema) -> None:
    assert_stopped(schema, "create the tables with: fleet-q schema --store snowflake:// --apply")


def assert_stopped(schema: Schema, says: str) -> None:
    schema.forget()
    with pytest.raises(StoreError) as error:
        open_store(schema.url)
    assert not isinstance(error.value, StoreUnavailable)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert len(schema.log()) <= 1


@pytest.mark.usefixtures("_signing_in")
@pytest.mark.parametrize(
    "denied", [["UPDATE", "STEP_TRACKER"], ["INSERT", "STEP_EVENTS"], ["UPDATE", "POD_HEALTH"]]
)
def test_a_privilege_that_is_missed_later_stops_a_pod_too(made: Schema, denied: list[str]) -> None:
    app = FleetQ(made.url, settings=Settings(recovery_interval=3_600))
    app.executor(lambda step: None)
    app.submit({})
    made.set(denied=[denied])

    async def run() -> str:
        async with app.running() as pod:
            await asyncio.to_thread(pod.ended.wait, LIMIT)
            return str(pod.error)

    assert "grant the role the privileges that fleet-q schema prints" in asyncio.run(run())
    app.close()
