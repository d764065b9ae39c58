"""Steps are submitted on a Snowflake connection of the user's, in his transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import snowflake.connector
from snowflake.connector import SnowflakeConnection

from fleet_q import FleetQ
from fleet_q.core.errors import InvalidInput, UnknownStep
from tests.services.conftest import QUICK
from tests.standin.client import Schema


@pytest.fixture
def app(tables: Schema, monkeypatch: pytest.MonkeyPatch) -> Iterator[FleetQ]:
    for name, value in tables.environment.items():
        monkeypatch.setenv(name, value)
    app = FleetQ("snowflake://", settings=QUICK)
    yield app
    app.close()


@pytest.fixture
def elsewhere(tables: Schema) -> Iterator[Schema]:
    """The schema that has the user's tables."""
    schema = Schema(tables.server, tables.database, f"OF_USERS_{tables.name}")
    yield schema
    schema.drop()


@pytest.fixture(params=["qmark", "pyformat", "numeric"])
def connection(elsewhere: Schema, request: pytest.FixtureRequest) -> Iterator[SnowflakeConnection]:
    """A connection with any style of binding."""
    parameters = elsewhere.parameters | {"paramstyle": request.param}
    with closing(snowflake.connector.connect(**parameters)) as connection:
        yield connection


def run(connection: SnowflakeConnection, text: str) -> Any:
    with closing(connection.cursor()) as cursor:
        cursor.execute(text)
        return cursor.fetchall()


def test_steps_exist_if_and_only_if_the_users_transaction_is_committed(
    app: FleetQ, connection: SnowflakeConnection
) -> None:
    hostile = "it's 100%s of \\ and ? :1 $$ \n \u2028 \U0001f600"
    task = app.task("invoice")(lambda customer: customer)
    run(connection, "CREATE TABLE orders (customer VARCHAR)")
    for end in ("ROLLBACK", "COMMIT"):
        run(connection, "BEGIN TRANSACTION")
        run(connection, "INSERT INTO orders SELECT 'c7'")
        step_id = task.options(connection=connection, key="c7").submit(customer=hostile)
        many = app.submit_many([{"n": n} for n in range(3)], delay=2.5, connection=connection)
        with pytest.raises(UnknownStep):
            app.status(step_id)
        run(connection, end)
        if end == "ROLLBACK":
            with pytest.raises(UnknownStep):
                app.status(step_id)
    assert run(connection, "SELECT COUNT(*) FROM orders") == [(1,)]
    step = app.status(step_id)
    assert (step.status, step.key, step.payload["customer"]) == ("pending", "c7", hostile)
    assert [app.status(each).payload for each in many] == [{"n": n} for n in range(3)]


def test_many_steps_are_inserted_in_several_statements(
    app: FleetQ, connection: SnowflakeConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet_q.adapters.snowflake.inbox_rows.MAX_BYTES", 500)
    app.submit_many([{"n": n} for n in range(10)], connection=connection)
    assert app.store.backlog().pending == 10


def test_connection_must_be_one_of_the_connector(app: FleetQ) -> None:
    with (
        closing(sqlite3.connect(":memory:")) as other,
        pytest.raises(InvalidInput, match=r"a connection of snowflake\.connector, not Connection"),
    ):
        app.submit({}, connection=other)


def test_role_that_may_not_insert_is_told_so(
    app: FleetQ, elsewhere: Schema, connection: SnowflakeConnection
) -> None:
    elsewhere.fault("error", on="insert", matching="STEP_INBOX", code="002003", message="denied")
    with pytest.raises(InvalidInput, match=r'whose role may insert into .*"STEP_INBOX": .*denied'):
        app.submit({}, connection=connection)
