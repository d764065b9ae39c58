"""The example of queries that run while their steps hold no slot, with the real connector."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import ModuleType
from typing import Any

import pytest
import snowflake.connector
from msgspec.structs import replace

from fleet_q import FleetQ, StoreUnavailable
from fleet_q.adapters.memory import MemoryStore
from fleet_q.core.step import SaveCheckpoint
from fleet_q.services.app.views import StepView
from tests.examples import EXAMPLES
from tests.services.conftest import QUICK
from tests.standin.client import QUICK_RETRIES, Schema
from tests.standin.helpers import Driver
from tests.standin.log import Entry
from tests.waiting import LIMIT, wait_until

EXAMPLE = EXAMPLES / "parked_queries" / "parked_queries.py"
POLL = 0.02
ADD = "UPDATE t SET n = n + 1"
SETTINGS = replace(QUICK, max_parallelism=1, max_snoozes=1_000_000)


def _example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("parked_queries", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


example = _example()


class Account:
    """The stand-in's schema with a table ``t``, and an app whose task ``load`` runs a query."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        with Driver(schema) as driver:
            driver.run("CREATE TABLE t (id VARCHAR, n NUMBER(38, 0))")
            driver.run("INSERT INTO t (id, n) VALUES ('a', 1), ('b', 2)")
        schema.forget()

    def connect(self, parameters: dict[str, Any]) -> Any:
        limits = {"network_timeout": int(LIMIT), "login_timeout": int(LIMIT)}
        return snowflake.connector.connect(
            **{**self.schema.parameters, **QUICK_RETRIES, **limits},
            session_parameters=parameters,
        )

    def app(self, store: MemoryStore, **options: Any) -> FleetQ:
        app = FleetQ(store, settings=SETTINGS)
        queries = example.ParkedQueries(app, self.connect, poll=POLL, timeout=3_600)

        @app.task("load", **options)
        async def load(sql: str) -> Any:
            return await queries.run(sql)

        @app.task("quick")
        def quick() -> str:
            return "done"

        return app

    def queries(self) -> list[Entry]:
        """The statements of steps, as opposed to those of tests and of the helper."""
        return self.schema.log(lambda entry: entry.query_tag.startswith("fleet-q-"))


@pytest.fixture
def account(schema: Schema) -> Account:
    return Account(schema)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def locked(account: Account) -> Iterator[Callable[[], None]]:
    """Table ``t`` is locked, so a query that changes it runs until this is called."""
    with Driver(account.schema) as driver, ExitStack() as open_:
        driver.transaction("UPDATE t SET n = n")
        open_.callback(driver.run, "ROLLBACK")
        account.schema.forget()
        yield open_.close


def load(app: FleetQ, sql: str, step_id: str = "load", **options: Any) -> str:
    return app.submit({"task_type": "load", "sql": sql}, step_id=step_id, **options)


async def running(app: FleetQ, test: Callable[[], object]) -> None:
    async with app.running():
        await asyncio.to_thread(test)


def is_parked(app: FleetQ, times: int = 2) -> bool:
    return app.status("load").snoozes >= times


def wait(app: FleetQ, step_id: str = "load") -> StepView:
    return app.wait(step_id, LIMIT)


def canceller(app: FleetQ) -> StepView:
    """The step that cancels the only query that was submitted."""
    (row,) = app.steps(task_type="cancel parked query").steps
    return app.status(row.step_id)


def test_step_gets_the_rows_of_its_query(account: Account, store: MemoryStore) -> None:
    app = account.app(store)
    load(app, "SELECT id, n FROM t ORDER BY id")

    def test() -> None:
        step = wait(app)
        assert (step.error, step.result) == (None, [{"ID": "a", "N": 1}, {"ID": "b", "N": 2}])
        wait_until(lambda: canceller(app).status == "completed")

    asyncio.run(running(app, test))
    assert len(account.queries()) == 1


def test_query_runs_while_its_step_holds_no_slot_and_is_watched_without_sql(
    account: Account, store: MemoryStore, locked: Callable[[], None]
) -> None:
    app = account.app(store)
    load(app, ADD)

    def test() -> None:
        wait_until(lambda: is_parked(app, 5))
        quick = app.submit({"task_type": "quick"})
        assert wait(app, quick).result == "done"
        assert [entry.text for entry in account.schema.log()] == [ADD]
        (session,) = (s for s in account.schema.sessions() if s["query_tag"])
        assert session["parameters"]["STATEMENT_TIMEOUT_IN_SECONDS"] == "3600"
        locked()
        assert wait(app).result == [
            {"number of rows updated": 2, "number of multi-joined rows updated": 0}
        ]
        assert app.status("load").retry_count == 0

    asyncio.run(running(app, test))
    assert len(account.queries()) == 1


def test_another_pod_goes_on_with_the_query(
    account: Account, store: MemoryStore, locked: Callable[[], None]
) -> None:
    first, second = account.app(store), account.app(store)
    load(first, ADD)
    asyncio.run(running(first, lambda: wait_until(lambda: is_parked(first))))

    def test() -> None:
        snoozes = second.status("load").snoozes
        wait_until(lambda: is_parked(second, snoozes + 1))
        locked()
        assert wait(second).status == "completed"

    asyncio.run(running(second, test))
    assert len(account.queries()) == 1


class Forgetful(MemoryStore):
    """A store that does not store the first query id, as if the pod had died before."""

    has_forgotten = False

    def save_checkpoint(self, save: SaveCheckpoint, pod_id: str | None = None) -> None:
        if '"id"' in save.checkpoint and not self.has_forgotten:
            self.has_forgotten = True
            raise StoreUnavailable("no answer")
        super().save_checkpoint(save, pod_id)


def test_query_whose_id_was_not_saved_is_found_by_its_tag(
    account: Account, locked: Callable[[], None]
) -> None:
    app = account.app(Forgetful())
    load(app, ADD)

    def test() -> None:
        wait_until(lambda: is_parked(app))
        assert app.status("load").retry_count == 1
        locked()
        assert wait(app).status == "completed"

    asyncio.run(running(app, test))
    assert len(account.queries()) == 1


def test_error_of_the_query_fails_the_attempt_and_a_retry_submits_it_again(
    account: Account, store: MemoryStore
) -> None:
    app = account.app(store, max_retries=1)
    load(app, "SELECT * FROM missing")

    def test() -> None:
        step = wait(app)
        assert (step.status, step.retry_count) == ("failed", 1)
        assert "MISSING" in str(step.error)

    asyncio.run(running(app, test))
    assert len(account.queries()) == 2


def test_query_is_cancelled_with_its_step_and_runs_again_with_a_replay(
    account: Account, store: MemoryStore, locked: Callable[[], None]
) -> None:
    app = account.app(store, max_retries=0)
    load(app, ADD)

    def test() -> None:
        wait_until(lambda: is_parked(app))
        app.cancel("load")
        wait_until(lambda: canceller(app).status == "completed")
        assert [query.error for query in account.queries()] == ["000604"]
        app.replay(["load"])
        wait_until(lambda: len(account.queries()) == 2)
        locked()
        assert wait(app).status == "completed"

    asyncio.run(running(app, test))
    assert [query.error for query in account.queries()] == ["000604", None]


def test_query_of_a_step_that_fails_otherwise_is_cancelled(
    account: Account, store: MemoryStore, locked: Callable[[], None]
) -> None:
    app = account.app(store)
    app.use(settings=replace(SETTINGS, max_snoozes=3))
    load(app, ADD)

    def test() -> None:
        assert wait(app).status == "failed"
        wait_until(lambda: canceller(app).is_final)
        wait_until(lambda: [query.error for query in account.queries()] == ["000604"])

    asyncio.run(running(app, test))


def test_network_that_is_away_uses_up_no_try(
    account: Account, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = [snowflake.connector.errors.OperationalError("away")] * 3
    connect = account.connect

    def sometimes(parameters: dict[str, Any]) -> Any:
        if away:
            raise away.pop()
        return connect(parameters)

    monkeypatch.setattr(account, "connect", sometimes)
    app = account.app(store, max_retries=0)
    load(app, "SELECT n FROM t")
    asyncio.run(running(app, lambda: wait_until(lambda: app.status("load").is_final)))
    assert (app.status("load").status, away) == ("completed", [])
