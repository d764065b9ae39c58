"""A process was killed in the middle of a transaction: nobody waits long for what it has locked."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from unittest.mock import patch

import pytest

from fleet_q.adapters import rows
from fleet_q.adapters.snowflake import lock_reaper, session
from fleet_q.adapters.snowflake import store as snowflake
from fleet_q.adapters.snowflake.lock_reaper import NAME
from fleet_q.adapters.snowflake.session import Session
from fleet_q.adapters.snowflake.statements import Statements
from fleet_q.adapters.snowflake.traits import ABANDONED_AFTER
from fleet_q.core.errors import StoreContended, StoreUnavailable
from fleet_q.core.step import Submit
from tests.standin.client import Schema, Standin
from tests.tables import create_tables
from tests.waiting import LIMIT

NOW = 1_700_000_000_000_000
HURRIED = {"session_parameters": {"LOCK_TIMEOUT": 0.05}}


@pytest.fixture
def schema(standin: Standin) -> Iterator[Schema]:
    schema = standin.schema()
    create_tables(schema)
    schema.set(clock=NOW)
    yield schema
    schema.drop()


@pytest.fixture
def killed(schema: Schema) -> Iterator[Session]:
    """A session that says no more, in the middle of a transaction."""
    killed = Session(schema.parameters, Statements())
    killed._send(f"BEGIN NAME {NAME}killed")
    killed.execute("UPDATE fleet_q SET schema_version = schema_version")
    yield killed
    killed.close()


@pytest.fixture
def store(schema: Schema, killed: Session) -> Iterator[snowflake.SnowflakeStore]:
    store = snowflake.SnowflakeStore({**schema.parameters, **HURRIED}, patience=0)
    yield store
    store.close()


def after(schema: Schema, seconds: float) -> None:
    schema.set(clock=NOW + round(seconds * 1_000_000))


def test_its_transaction_is_ended_by_who_waits_for_its_locks(
    schema: Schema, store: snowflake.SnowflakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    after(schema, ABANDONED_AFTER + 5)
    with caplog.at_level(logging.WARNING), pytest.raises(StoreContended):
        store.submit([Submit("step", "{}")])

    assert store.submit([Submit("step", "{}")]) == [True]
    assert "whose locks blocked the fleet" in caplog.text


def test_one_that_only_takes_a_while_is_let_be(
    schema: Schema, store: snowflake.SnowflakeStore, killed: Session
) -> None:
    after(schema, ABANDONED_AFTER - 1)
    for _ in range(3):
        with pytest.raises(StoreContended):
            store.submit([Submit("step", "{}")])

    killed._send("COMMIT")
    assert store.submit([Submit("step", "{}")]) == [True]


def test_the_transaction_of_another_program_is_nobodys_business_here(
    schema: Schema, store: snowflake.SnowflakeStore, killed: Session
) -> None:
    killed._send("ROLLBACK")
    killed._send("BEGIN")
    killed.execute("UPDATE fleet_q SET schema_version = schema_version")
    after(schema, ABANDONED_AFTER + 5)

    with pytest.raises(StoreContended):
        store.submit([Submit("step", "{}")])

    assert [each["locks"] for each in schema.sessions() if each["locks"]] != []


def test_it_is_suspected_where_a_statement_had_no_answer(
    schema: Schema, store: snowflake.SnowflakeStore, killed: Session
) -> None:
    """As it is on hybrid tables, whose waits the connector gives up."""
    after(schema, ABANDONED_AFTER + 5)
    schema.fault("error", on="update", code="000604", sqlstate="57014")
    with patch.object(session, "LOCK_TIMEOUT", -1), pytest.raises(StoreUnavailable) as refused:
        store.submit([Submit("step", "{}")])

    assert not isinstance(refused.value, StoreContended)
    assert store.submit([Submit("step", "{}")]) == [True]


def test_a_store_that_is_away_is_not_suspected_of_a_lock_again_and_again(
    schema: Schema, store: snowflake.SnowflakeStore, killed: Session
) -> None:
    killed.close()
    schema.fault("error", on="update", code="000604", sqlstate="57014")
    with patch.object(session, "LOCK_TIMEOUT", -1), pytest.raises(StoreUnavailable):
        store.submit([Submit("step", "{}")])
    schema.forget()

    store.submit([Submit("step", "{}")])
    with patch.object(lock_reaper, "SEARCH_INTERVAL", 0.0):
        store.submit([Submit("another", "{}")])

    assert len(schema.log(lambda each: each.text.startswith("SHOW LOCKS"))) == 1


def test_who_may_not_end_it_has_to_wait(
    schema: Schema, store: snowflake.SnowflakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    after(schema, ABANDONED_AFTER + 5)
    schema.fault("error", code="003001", sqlstate="42501", matching="ABORT_TRANSACTION")
    with caplog.at_level(logging.WARNING), pytest.raises(StoreContended):
        store.submit([Submit("step", "{}")])

    assert "cannot end the transaction that blocks the fleet: Snowflake:" in caplog.text


def test_it_is_looked_for_now_and_then(schema: Schema, store: snowflake.SnowflakeStore) -> None:
    schema.forget()
    with patch.object(lock_reaper, "SEARCH_INTERVAL", LIMIT):
        for _ in range(3):
            with pytest.raises(StoreContended):
                store.submit([Submit("step", "{}")])

    assert len(schema.log(lambda each: each.text.startswith("SHOW LOCKS"))) == 1


@pytest.mark.parametrize("before", ["a statement", "the commit"])
def test_whose_transaction_was_ended_finds_out(
    schema: Schema, killed: Session, before: str
) -> None:
    killed._send("ROLLBACK")
    slow = Session(schema.parameters, Statements())

    def submit() -> None:
        with slow.transaction(session.new_change_id()) as tx:
            tx.run("submit", new=rows.submissions_json([Submit("step", "{}")]))
            tx.run("lock_submissions")
            ((id_,),) = slow.query("current_transaction")
            killed.execute(f"SELECT SYSTEM$ABORT_TRANSACTION({id_})")
            if before == "a statement":
                tx.run("append_step_events", pod_id=None)

    with (
        patch.object(session, "VERIFY_AFTER", 0.0),
        pytest.raises(StoreUnavailable, match="ended before"),
    ):
        submit()
    assert slow.query("counts") == []
    slow.close()
