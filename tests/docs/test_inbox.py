"""The examples of docs/inbox.md run as they are, those for Snowflake on the stand-in."""

from __future__ import annotations

import re
import sqlite3
import textwrap
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import snowflake.connector
from snowflake.connector import SnowflakeConnection

from fleet_q import FleetQ
from fleet_q.services.worker.loop_thread import LoopThread
from tests.docs import DOCS, text_of
from tests.services.conftest import QUICK
from tests.standin.client import Schema
from tests.waiting import wait_until

PAGE = DOCS / "inbox.md"
IN_THE_DOCS = "FLEET_Q.QUEUE."
"""The schema of the store in the examples."""


def examples(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text_of(PAGE), re.DOTALL | re.MULTILINE)


IN_SQLITE, GRANTS, TASK = examples("sql")
WITH_SQLITE, WITH_CONNECTOR, SNOWPARK = examples("python")
(DBT,) = examples("yaml")


def payloads(app: FleetQ, task_type: str) -> list[dict[str, Any]]:
    """The payloads of the steps of this type, without the type, once they are completed."""
    done: list[dict[str, Any]] = []

    @app.task(task_type)
    def work(**payload: Any) -> None:
        done.append(payload)

    with LoopThread() as thread, app.running_on(thread.loop):
        wait_until(lambda: done and app.queue()["pending"] + app.queue()["claimed"] == 0)
    return done


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store in the working directory that also has the table of orders."""
    monkeypatch.chdir(tmp_path)
    with closing(FleetQ("sqlite:///fleet-q.db")) as app:
        app.queue()
    path = tmp_path / "fleet-q.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE orders (customer TEXT, amount REAL)")
    return path


def test_transaction_in_sqlite_submits_a_step(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(IN_SQLITE)
    with closing(FleetQ("sqlite:///fleet-q.db", settings=QUICK)) as app:
        assert payloads(app, "send_invoice") == [{"customer": "c7"}]


def test_step_in_the_transaction_of_a_sqlite_connection_exists_once_that_is_committed(
    file: Path,
) -> None:
    with closing(FleetQ("sqlite:///fleet-q.db", settings=QUICK)) as app:
        task = app.task("send_invoice")(lambda customer: customer)
        names: dict[str, Any] = {"sqlite3": sqlite3, "send_invoice": task}
        exec(WITH_SQLITE, names)
        assert app.status(names["step_id"]).payload["customer"] == "c7"


@pytest.fixture
def app(tables: Schema, monkeypatch: pytest.MonkeyPatch) -> Iterator[FleetQ]:
    for name, value in tables.environment.items():
        monkeypatch.setenv(name, value)
    app = FleetQ("snowflake://", settings=QUICK)
    yield app
    app.close()


@pytest.fixture
def connection(tables: Schema) -> Iterator[SnowflakeConnection]:
    """A connection to the schema that has the user's tables."""
    schema = Schema(tables.server, tables.database, f"OF_USERS_{tables.name}")
    with closing(snowflake.connector.connect(**schema.parameters)) as connection:
        yield connection
    schema.drop()


class Session:
    """A Snowpark session, as far as the example needs it."""

    def __init__(self, connection: SnowflakeConnection, tables: Schema) -> None:
        self.connection = connection
        self._place = f"{tables.database}.{tables.name}."

    def sql(self, text: str) -> Query:
        assert re.search(r"STEP_INBOX", text) is None or IN_THE_DOCS in text
        return Query(self.connection, text.replace(IN_THE_DOCS, self._place))

    def run(self, *statements: str) -> None:
        for statement in statements:
            self.sql(statement).collect()


class Query:
    """A statement of a session."""

    def __init__(self, connection: SnowflakeConnection, text: str) -> None:
        self._connection = connection
        self._text = text

    def collect(self) -> list[Any]:
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(self._text)
            return cursor.fetchall()


@pytest.fixture
def session(connection: SnowflakeConnection, tables: Schema) -> Session:
    return Session(connection, tables)


@pytest.mark.slow
def test_grants_are_statements_that_snowflake_takes(session: Session, tables: Schema) -> None:
    for statement in GRANTS.replace("SCHEMA FLEET_Q.QUEUE", f"SCHEMA {tables.name}").split(";"):
        if statement.strip():
            session.run(statement)


@pytest.mark.slow
def test_hook_of_dbt_submits_a_step(app: FleetQ, session: Session) -> None:
    _, _, hook = DBT.partition("post_hook: >\n")
    statement = " ".join(textwrap.dedent(hook).split("\n"))
    session.run(statement.replace("{{ this }}", "ANALYTICS.MARTS.orders"))
    assert payloads(app, "export_orders") == [{"model": "ANALYTICS.MARTS.orders"}]


@pytest.mark.slow
def test_task_submits_a_step_for_each_new_row_of_a_stream(app: FleetQ, session: Session) -> None:
    """Its statement does; a table stands for the stream."""
    session.run(
        "CREATE TABLE NEW_ORDERS"
        ' (order_id NUMBER(38, 0), customer VARCHAR, "METADATA$ACTION" VARCHAR)',
        "INSERT INTO NEW_ORDERS VALUES (1, 'c7', 'INSERT'), (2, 'c8', 'DELETE')",
    )
    head, _, statement = TASK.partition("\nAS\n")
    assert head.startswith("CREATE TASK")
    session.run(statement)
    assert payloads(app, "send_invoice") == [{"order_id": 1}]


@pytest.mark.slow
def test_snowpark_procedure_submits_a_step_for_each_row(app: FleetQ, session: Session) -> None:
    session.run(
        "CREATE TABLE ORDERS (ORDER_ID NUMBER(38, 0), STATUS VARCHAR)",
        "INSERT INTO ORDERS VALUES (1, 'new'), (2, 'shipped')",
    )
    names: dict[str, Any] = {}
    exec(SNOWPARK, names)
    assert names["run"](session) == "done"
    assert payloads(app, "ship") == [{"order_id": 1}]


@pytest.mark.slow
def test_step_in_a_transaction_of_the_connector_exists_once_that_is_committed(
    app: FleetQ, connection: SnowflakeConnection, session: Session
) -> None:
    session.run("CREATE TABLE orders (customer VARCHAR, amount NUMBER(10, 2))")
    task = app.task("send_invoice")(lambda customer: customer)
    names: dict[str, Any] = {"connection": connection, "send_invoice": task}
    exec(WITH_CONNECTOR, names)
    assert app.status(names["step_id"]).payload["customer"] == "c7"
