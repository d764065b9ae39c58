"""Steps are submitted in a transaction of the user's, and run only if it is committed."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fleet_q import FleetQ
from fleet_q.core.errors import InvalidInput, UnknownStep
from fleet_q.services.app.views import StepView
from tests.services.conftest import QUICK
from tests.waiting import LIMIT


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "fleet.db"


@pytest.fixture
def app(file: Path) -> Iterator[FleetQ]:
    app = FleetQ(f"sqlite:///{file}", settings=QUICK)
    assert app.store.change_counter() is not None
    yield app
    app.close()


@pytest.fixture
def connection(app: FleetQ, file: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE orders (customer TEXT)")
        yield connection


def test_step_runs_if_the_users_transaction_is_committed(
    app: FleetQ, connection: sqlite3.Connection
) -> None:
    @app.task("invoice")
    def invoice(customer: str) -> str:
        return f"to {customer}"

    with connection:
        connection.execute("INSERT INTO orders VALUES ('c7')")
        step_id = invoice.options(connection=connection, key="c7").submit(customer="c7")
        with pytest.raises(UnknownStep):
            app.status(step_id)
    assert app.status(step_id).status == "pending"

    async def waited() -> StepView:
        async with app.running():
            return await asyncio.to_thread(app.wait, step_id, LIMIT)

    step = asyncio.run(waited())
    assert (step.result, step.key) == ("to c7", "c7")


def test_step_never_exists_if_the_users_transaction_is_rolled_back(
    app: FleetQ, connection: sqlite3.Connection
) -> None:
    connection.execute("INSERT INTO orders VALUES ('c7')")
    step_ids = app.submit_many([{"n": 1}, {"n": 2}], connection=connection)
    connection.rollback()
    for step_id in step_ids:
        with pytest.raises(UnknownStep):
            app.status(step_id)
    assert connection.execute("SELECT * FROM orders").fetchall() == []


def test_arguments_are_checked_before_the_row_is_inserted(
    app: FleetQ, connection: sqlite3.Connection
) -> None:
    with pytest.raises(InvalidInput, match="priority"):
        app.submit({}, priority=2**40, connection=connection)
    assert not connection.in_transaction


def test_connection_must_be_one_to_the_store(app: FleetQ, tmp_path: Path) -> None:
    FleetQ(f"sqlite:///{tmp_path}/other.db").submit({})
    for file in (":memory:", tmp_path / "other.db", tmp_path / "new.db"):
        with (
            closing(sqlite3.connect(file)) as other,
            pytest.raises(InvalidInput, match=r"one to the file of the store, .*fleet\.db"),
        ):
            app.submit({}, connection=other)
    with (
        closing(sqlite3.connect(":memory:")) as other,
        pytest.raises(InvalidInput, match="memory://"),
    ):
        FleetQ("memory://").submit({}, connection=other)
    with pytest.raises(InvalidInput, match=r"must be a sqlite3\.Connection, not str"):
        app.submit({}, connection="fleet.db")


def test_connection_may_reach_the_file_of_the_store_in_other_ways(
    app: FleetQ, file: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(file)
    attached = sqlite3.connect(":memory:")
    attached.execute("ATTACH ? AS store", [str(file)])
    by_name = sqlite3.connect(link)
    by_name.row_factory = lambda cursor, row: "a row"
    by_name.text_factory = bytes
    for connection in (attached, by_name):
        with closing(connection), connection:
            step_id = app.submit({}, connection=connection)
        assert app.status(step_id).status == "pending"


def test_row_without_retries_gets_those_of_its_task(
    app: FleetQ, connection: sqlite3.Connection
) -> None:
    app.task("once", max_retries=0)(lambda: None)
    with connection:
        for step_id, task_type in (("a", "once"), ("b", "other")):
            connection.execute(
                "INSERT INTO step_inbox (step_id, task_type) VALUES (?, ?)", (step_id, task_type)
            )
    assert app.status("a").max_retries == 0
    assert app.status("b").max_retries == QUICK.max_retries
