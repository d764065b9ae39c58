"""Clients that wait for a lock end the transaction of a process that was killed within it."""

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
from tests.standin.client import Schema
from tests.waiting import LIMIT

NOW = 1_700_000_000_000_000
SHORT_LOCK_TIMEOUT = {"session_parameters": {"LOCK_TIMEOUT": 0.05}}


@pytest.fixture
def schema(tables: Schema) -> Schema:
    tables.set(clock=NOW)
    return tables


@pytest.fixture
def killed(schema: Schema) -> Iterator[Session]:
    """A session that holds a lock in an open transaction, and sends nothing more."""
    killed = Session(schema.parameters, Statements())
    killed._send(f"BEGIN NAME {NAME}killed")
    killed.execute("UPDATE fleet_q SET schema_version = schema_version")
    yield killed
    killed.close()


@pytest.fixture
def store(schema: Schema, killed: Session) -> Iterator[snowflake.SnowflakeStore]:
    store = snowflake.SnowflakeStore({**schema.parameters, **SHORT_LOCK_TIMEOUT}, patience=0)
    yield store
    store.close()


def set_time(schema: Schema, seconds: float) -> None:
    """Set the clock of Snowflake to ``seconds`` after the transaction began."""
    schema.set(clock=NOW + round(seconds * 1_000_000))


def test_abandoned_transaction_is_ended_by_a_client_that_waits_for_its_lock(
    schema: Schema, store: snowflake.SnowflakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    set_time(schema, ABANDONED_AFTER + 5)
    with caplog.at_level(logging.WARNING), pytest.raises(StoreContended):
        store.submit([Submit("step", "{}")])

    assert store.submit([Submit("step", "{}")]) == [True]
    assert "whose locks blocked the fleet" in caplog.text


def test_slow_transaction_is_not_ended_before_the_limit(
    schema: Schema, store: snowflake.SnowflakeStore, killed: Session
) -> None:
    set_time(schema, ABANDONED_AFTER - 1)
    for _ in range(3):
        with pytest.raises(StoreContended):
            store.submit([Submit("step", "{}")])

    killed._send("COMMIT")
    assert store.submit([Submit("step", "{}")]) == [True]


def test_transaction_of_another_program_is_not_ended(
    schema: Schema, store: snowflake.SnowflakeStore, killed: Session
) -> None:
    killed._send("ROLLBACK")
    killed._send("BEGIN")
    killed.execute("UPDATE fleet_q SET schema_version = schema_version")
    set_time(schema, ABANDONED_AFTER + 5)

    with pytest.raises(StoreContended):
        store.submit([Submit("step", "{}")])

    assert [entry["locks"] for entry in schema.sessions() if entry["locks"]] != []


def test_abandoned_transaction_is_searched_for_after_a_statement_without_an_answer(
    schema: Schema, store: snowflake.SnowflakeStore, killed: Session
) -> None:
    """As on hybrid tables: the connector gives up waiting for their locks."""
    set_time(schema, ABANDONED_AFTER + 5)
    schema.fault("error", on="update", code="000604", sqlstate="57014")
    with patch.object(session, "LOCK_TIMEOUT", -1), pytest.raises(StoreUnavailable) as refused:
        store.submit([Submit("step", "{}")])

    assert not isinstance(refused.value, StoreContended)
    assert store.submit([Submit("step", "{}")]) == [True]


def test_statement_without_an_answer_causes_one_search_for_locks(
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

    assert len(schema.log(lambda entry: entry.text.startswith("SHOW LOCKS"))) == 1


def test_client_that_may_not_end_the_transaction_logs_a_warning(
    schema: Schema, store: snowflake.SnowflakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    set_time(schema, ABANDONED_AFTER + 5)
    schema.fault("error", code="003001", sqlstate="42501", matching="ABORT_TRANSACTION")
    with caplog.at_level(logging.WARNING), pytest.raises(StoreContended):
        store.submit([Submit("step", "{}")])

    assert "cannot end the transaction that blocks the fleet: Snowflake:" in caplog.text


def test_locks_are_searched_at_most_once_in_an_interval(
    schema: Schema, store: snowflake.SnowflakeStore
) -> None:
    schema.forget()
    with patch.object(lock_reaper, "SEARCH_INTERVAL", LIMIT):
        for _ in range(3):
            with pytest.raises(StoreContended):
                store.submit([Submit("step", "{}")])

    assert len(schema.log(lambda entry: entry.text.startswith("SHOW LOCKS"))) == 1


@pytest.mark.parametrize("before", ["a statement", "the commit"])
def test_session_whose_transaction_was_ended_raises_and_stores_nothing(
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
