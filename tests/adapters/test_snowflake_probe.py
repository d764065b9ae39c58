"""What ``fleet-q doctor --probe`` finds on the stand-in, and that it notices every result that is
not as expected."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, Final

import pytest
from msgspec.structs import replace
from snowflake.connector.errors import ProgrammingError

from fleet_q.adapters import rows
from fleet_q.adapters.snowflake.probe import (
    durations,
    hybrid,
    killed,
    life,
    metadata,
    process,
    tables,
    waiters,
)
from fleet_q.adapters.snowflake.probe.client import Client, OnServer
from fleet_q.adapters.snowflake.probe.examination import PROBES, Examination
from fleet_q.adapters.snowflake.probe.result import ProbeResult, judge
from fleet_q.adapters.snowflake.probe.room import Room, Shared, Stopped
from fleet_q.adapters.snowflake.probe.scratch import Scratch
from fleet_q.adapters.snowflake.probe.statements import runnable
from fleet_q.adapters.snowflake.schema import TableKind
from fleet_q.adapters.snowflake.statements import Statements
from fleet_q.adapters.snowflake.store import SnowflakeStore
from fleet_q.adapters.snowflake.times import Times
from fleet_q.adapters.statements import statements as store_statements
from fleet_q.core.errors import StoreError
from tests.docs import DOCS, first_cells
from tests.standin.client import Schema
from tests.waiting import LIMIT

pytestmark = pytest.mark.slow

HYBRID: Final = "CREATE TABLE {hybrid} (id VARCHAR, n NUMBER(38, 0), text VARCHAR)"
"""Stands for a hybrid table, which the stand-in does not have."""
FATAL: Final = {"code": "003001", "message": "not any more", "sqlstate": "42501"}
"""An error that FLEET-Q takes for fatal."""


def examination(schema: Schema, *names: str, **options: Any) -> Examination:
    """The probes of these names, or all, on the stand-in."""
    connection = {"login_timeout": int(LIMIT), **schema.parameters}
    probes = [probe for probe in PROBES if not names or probe.name in names]
    assert {*names} <= {probe.name for probe in probes}
    return Examination(
        connection, **{"probes": probes, "budget": float("inf"), "patience": LIMIT, **options}
    )


def ask(schema: Schema, *names: str, **options: Any) -> dict[str, ProbeResult]:
    """The results by probe."""
    with examination(schema, *names, **options) as examined:
        results = {result.probe: result for result in examined.results()}
    assert examined.leftovers == ()
    return results


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for as long as a slow machine takes, and for what never comes not for long."""
    monkeypatch.setattr(process, "ANSWER_TIMEOUT", LIMIT)
    monkeypatch.setattr(killed, "HELD_FOR", 1)


def ask_one(schema: Schema, name: str, **options: Any) -> ProbeResult:
    """The result of one probe."""
    return ask(schema, name, **options)[name]


def test_probe_finds_everything_as_expected_and_writes_only_to_tables_of_its_own(
    schema: Schema,
) -> None:
    differing = {name: r for name, r in ask(schema).items() if r.verdict != "ok"}
    assert {*differing} == {"hybrid tables", "store on hybrid tables", "most waiters"}
    assert {result.verdict for result in differing.values()} == {"not tried"}
    targets = {statement.target for statement in schema.log() if statement.target}
    assert all("FLEET_Q_PROBE_" in target for target in targets)
    dropped = [s.text for s in schema.log() if s.text.startswith("DROP TABLE")]
    assert any("STEP_TRACKER" in text for text in dropped)
    assert not any(session["transaction"] for session in schema.sessions())


def test_probe_drops_its_tables_after_ctrl_c(schema: Schema) -> None:
    examined = examination(schema, "polls")
    with suppress(KeyboardInterrupt), examined:
        next(examined.results())
        raise KeyboardInterrupt
    assert examined.leftovers == ()
    assert any(s.text.startswith("DROP TABLE") for s in schema.log())


def test_interrupted_probe_makes_no_more_tables(schema: Schema) -> None:
    room = Room(Shared(schema.parameters, False, LIMIT, "P_", {}, {}, {}), "store")
    room.stop()
    with pytest.raises(Stopped):
        tables.make_store(room)
    room.close()
    assert len([s for s in schema.log() if s.text.startswith("CREATE")]) == 1


def test_probe_names_the_tables_that_it_could_not_drop(schema: Schema) -> None:
    schema.fault("error", matching="DROP TABLE .*LOCKS_OTHER", **FATAL)
    with examination(schema, "deadlock") as examined:
        list(examined.results())
    (leftover,) = examined.leftovers
    assert leftover.endswith("_LOCKS_OTHER")


def test_probe_names_its_prefix_if_it_could_drop_nothing(schema: Schema) -> None:
    schema.fault("error", matching="SHOW TABLES LIKE", **FATAL)
    with examination(schema, "deadlock") as examined:
        list(examined.results())
    (leftover,) = examined.leftovers
    assert leftover.endswith("_*")


def test_nothing_is_tried_without_tables(schema: Schema) -> None:
    schema.fault("error", matching="CREATE TRANSIENT TABLE .*STEP_TRACKER", **FATAL)
    results = ask(schema, "polls")
    assert results["own store"].verdict == "fail"
    assert "not any more" in results["own store"].found
    assert results["polls"].verdict == "not tried"


def test_probe_begins_nothing_that_would_end_after_its_time(schema: Schema) -> None:
    results = ask(schema, budget=1.0)
    assert {result.verdict for result in results.values()} == {"not tried"}


def test_failed_sign_in_is_an_error_with_advice(schema: Schema) -> None:
    schema.fault("error", on="login", error="password", times=None)
    with pytest.raises(StoreError, match="SNOWFLAKE_USER"):
        ask(schema)


def test_polls_that_need_the_warehouse_are_noticed(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = Client.history

    def with_warehouse(self: Client, query_ids: Collection[str]) -> dict[str, OnServer]:
        return {
            query_id: on_server._replace(warehouse="X-Small")
            for query_id, on_server in history(self, query_ids).items()
        }

    monkeypatch.setattr(Client, "history", with_warehouse)
    result = ask_one(schema, "polls")
    assert result.verdict == "differs"
    assert "needs the warehouse (X-Small)" in result.found


def test_polls_are_not_judged_if_the_history_lacks_them(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Client, "history", lambda self, query_ids: {})
    assert ask_one(schema, "polls").verdict == "not tried"


@pytest.mark.parametrize(
    ("name", "is_like", "instead"),
    [
        ("take", "two pods could claim", "UPDATE {table} SET text = :text WHERE id = :id"),
        ("increment", "outcomes of steps could be lost", "UPDATE {table} SET n = 1"),
    ],
)
def test_update_that_overwrites_what_it_waited_for_is_noticed(
    schema: Schema, monkeypatch: pytest.MonkeyPatch, name: str, is_like: str, instead: str
) -> None:
    replace_text(monkeypatch, name, instead)
    result = ask_one(schema, "UPDATE that waited")
    assert result.verdict == "fail"
    assert is_like in result.found


@pytest.mark.parametrize(("code", "verdict"), [("000625", "ok"), ("003001", "fail")])
@pytest.mark.parametrize(
    ("probe", "error"),
    [
        ("lock time-out", "lock_timeout"),
        ("time-out in procedure", "lock_timeout"),
        ("statement time-out", "statement_timeout"),
        ("deadlock", "deadlock"),
    ],
)
def test_number_of_an_error_is_judged_by_what_a_pod_makes_of_it(
    schema: Schema, probe: str, error: str, code: str, verdict: str
) -> None:
    schema.set(numbers={error: code})
    result = ask_one(schema, probe)
    assert (result.verdict, code in result.found) == (verdict, True)


def test_unknown_number_differs_as_it_is_retried() -> None:
    found = judge(ProgrammingError("you waited", errno=99_999, sqlstate="22000"))
    assert (found.verdict, "099999" in found.text) == ("differs", True)


@pytest.mark.parametrize("probe", ["lock time-out", "time-out in procedure", "statement time-out"])
def test_update_that_does_not_wait_for_a_lock_is_noticed(
    schema: Schema, monkeypatch: pytest.MonkeyPatch, probe: str
) -> None:
    replace_text(monkeypatch, "increment", "SELECT 1")
    assert ask_one(schema, probe).verdict == "fail"


def test_insert_that_waits_for_a_lock_is_noticed(schema: Schema) -> None:
    schema.fault("lock", on="insert", times=None)
    result = ask_one(schema, "INSERT beside UPDATE", patience=0.1)
    assert result.verdict == "differs"
    assert "waits for the lock" in result.found


def test_results_that_the_storage_serves_arrive(schema: Schema) -> None:
    schema.set(storage="serves")
    assert ask_one(schema, "large results").verdict == "ok"


@pytest.mark.parametrize("mode", ["refuses", "hangs"])
def test_results_that_do_not_arrive_from_storage_are_noticed(schema: Schema, mode: str) -> None:
    schema.set(storage=mode)
    result = ask_one(schema, "large results", patience=0.1)
    assert result.verdict == "fail"
    assert "0.4 MB did not arrive" in result.found
    assert "SYSTEM$ALLOWLIST" in result.found


def test_session_parameter_that_did_not_take_effect_is_noticed(schema: Schema) -> None:
    schema.set(parameters={"LOCK_TIMEOUT": "43200", "ABORT_DETACHED_QUERY": "false"})
    result = ask_one(schema, "session parameters")
    assert result.verdict == "differs"
    assert result.found == "ABORT_DETACHED_QUERY is false, not true; LOCK_TIMEOUT is 43200, not 30"


def test_session_parameter_that_the_account_does_not_have_is_noticed(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "SESSION_PARAMETERS", {"LOCK_TIMEOUT": 30, "IN_NO_ACCOUNT": True})
    result = ask_one(schema, "session parameters")
    assert result.found == "the account does not have IN_NO_ACCOUNT"


def test_stale_reads_are_counted(schema: Schema) -> None:
    schema.fault("stale", on="select", matching="WHERE id", times=2)
    result = ask_one(schema, "fresh reads")
    assert result.verdict == "differs"
    assert result.found.startswith("1 of 12 reads missed it, for up to ")


def test_commit_that_is_never_seen_is_noticed(schema: Schema) -> None:
    schema.fault("stale", times=None)
    result = ask_one(schema, "fresh reads", patience=0.1)
    assert (result.verdict, "was not seen" in result.found) == ("fail", True)


def test_lock_of_a_killed_client_is_kept_until_its_transaction_is_aborted(schema: Schema) -> None:
    result = ask_one(schema, "killed in transaction")
    assert result.found.startswith("keeps its lock for 1 s; could be aborted")


def test_lock_that_a_killed_client_does_not_keep_is_noticed(schema: Schema) -> None:
    schema.set(idle_abort=0)
    assert "lock is free" in ask_one(schema, "killed in transaction").found


def test_transaction_that_cannot_be_aborted_is_noticed(schema: Schema) -> None:
    schema.fault("error", matching="ABORT_TRANSACTION", **FATAL)
    assert ask_one(schema, "killed in transaction").verdict == "differs"


def test_statement_of_a_killed_client_is_cancelled_in_time_if_so_set(schema: Schema) -> None:
    schema.set(detached_abort=0)
    result = ask_one(schema, "killed in statement", is_long=True)
    assert (result.verdict, "true is cancelled" in result.found) == ("ok", True)


def test_statement_of_a_killed_client_that_is_not_cancelled_in_time_is_noticed(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(killed, "ABORT_TIMEOUT", 1)
    result = ask_one(schema, "killed in statement", is_long=True)
    assert (result.verdict, "true goes on" in result.found) == ("differs", True)


def test_statement_of_a_killed_client_that_is_lost_is_noticed(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_text(monkeypatch, "read", "SELECT 0")
    result = ask_one(schema, "killed in statement", patience=0.1)
    assert (result.verdict, "false is cancelled" in result.found) == ("differs", True)


def test_durations_are_those_of_the_server(schema: Schema) -> None:
    schema.set(times={"request": 0.1, "select": 0.05, "update": 0.1})
    with examination(schema, "durations") as examined:
        list(examined.results())
    times = examined.times
    assert times["update"] >= 0.1
    assert times["select"] >= 0.05
    assert times["request"] >= 0.1
    assert {*times} == {*Times.__struct_fields__[:10]} - {"metadata"}


def test_slow_statements_are_noticed(schema: Schema, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durations, "SLOWER", 0.0)
    monkeypatch.setattr(durations, "TOLERANCE", 0.0)
    schema.set(times={"call": 0.01})
    result = ask_one(schema, "durations")
    assert result.verdict == "differs"
    assert "call" in result.found


def test_durations_are_not_judged_without_a_history(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Client, "history", lambda self, query_ids: {})
    with examination(schema, "durations") as examined:
        *_, result = examined.results()
    assert (result.verdict, examined.times) == ("not tried", {})


@pytest.mark.parametrize(("name", "verdict"), [("SLOW_SYNC", "differs"), ("SLOWEST_SYNC", "fail")])
def test_slow_sync_is_noticed(
    schema: Schema, monkeypatch: pytest.MonkeyPatch, name: str, verdict: str
) -> None:
    monkeypatch.setattr(life, name, 0.0)
    assert ask(schema, "life of steps", "sync")["sync"].verdict == verdict


def test_durations_of_procedures_are_those_of_the_server(schema: Schema) -> None:
    with examination(schema, "life of steps", "sync", "procedures") as examined:
        results = {result.probe: result for result in examined.results()}
    assert results["procedures"].verdict == "ok"
    assert {*examined.procedures} == {*Statements().procedures}


def test_slow_procedures_are_noticed(schema: Schema, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(life, "SLOW_SYNC", -1.0)
    assert ask_one(schema, "procedures").verdict == "differs"


def test_value_of_another_type_is_noticed(schema: Schema, monkeypatch: pytest.MonkeyPatch) -> None:
    to_step = rows.to_step
    monkeypatch.setattr(
        rows, "to_step", lambda row: replace(to_step(row), retry_count=Decimal(row[4]))
    )
    result = ask_one(schema, "life of steps")
    assert result.verdict == "fail"
    assert "retry_count is Decimal" in result.found


def test_call_that_does_something_else_is_noticed(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SnowflakeStore, "cancel", lambda self, step_id: self.step(step_id))
    result = ask_one(schema, "life of steps")
    assert (result.verdict, result.found) == ("fail", "a step was not cancelled")


def test_call_that_fails_is_noticed(schema: Schema) -> None:
    schema.fault("error", matching="CALL .*_CHANGE_", spare=1, **FATAL)
    result = ask_one(schema, "life of steps")
    assert (result.verdict, "not any more" in result.found) == ("fail", True)


def test_statement_that_does_not_run_is_named(schema: Schema) -> None:
    schema.fault(
        "error", matching="SELECT status, COUNT", code="001003", message="no", sqlstate=None
    )
    result = ask_one(schema, "statements")
    assert (result.verdict, "1 of " in result.found, "counts (" in result.found) == (
        "fail", True, True,
    )  # fmt: skip


def test_every_statement_of_the_store_is_run() -> None:
    texts = {name: Statements().text(name) for name in store_statements("snowflake")}
    shown = {name for name, text in texts.items() if text.startswith("SHOW")}
    not_run = {*texts} - {*runnable(Statements())} - shown
    assert not_run <= {"grants", "set_schema_version", "try_select", "use_schema"}


def test_documentation_has_a_row_for_each_probe() -> None:
    rows = first_cells(DOCS / "snowflake.md", "What only the probe settles")
    named = [name for cells in rows for name in cells[0].replace(" (`--long`)", "").split(", ")]
    own = [probe.name for probe in tables.PROBES]
    assert sorted(named) == sorted([*own, *(probe.name for probe in PROBES)])


def test_limit_of_waiters_is_found(schema: Schema, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiters, "SESSIONS", 2)
    schema.set(waiters=0)
    result = ask_one(schema, "most waiters", is_long=True)
    assert (result.verdict, result.found[:6]) == ("differs", "0 wait")


def test_account_that_rejects_no_waiter_is_as_good(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiters, "SESSIONS", 2)
    result = ask_one(schema, "most waiters", is_long=True)
    assert (result.verdict, result.found) == ("ok", "2 wait, and none is rejected")


def test_fatal_number_of_a_rejected_waiter_is_noticed(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiters, "SESSIONS", 2)
    schema.set(waiters=0, numbers={"too_many_waiters": "003001"})
    assert ask_one(schema, "most waiters", is_long=True).verdict == "fail"


def test_long_probes_are_tried_only_on_request(schema: Schema) -> None:
    result = ask_one(schema, "most waiters")
    assert (result.verdict, "--long" in result.found) == ("not tried", True)


def test_account_without_hybrid_tables_is_reported_with_the_error(schema: Schema) -> None:
    result = ask_one(schema, "hybrid tables")
    assert (result.verdict, "001003" in result.found) == ("not tried", True)
    assert ask_one(schema, "store on hybrid tables", is_long=True).verdict == "not tried"


def test_hybrid_table_that_locks_more_than_a_row_is_noticed(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_text(monkeypatch, "create_hybrid", HYBRID)
    result = ask_one(schema, "hybrid tables", patience=0.1)
    assert (result.verdict, "locks more than a row" in result.found) == ("differs", True)


def test_durations_of_hybrid_tables_are_found(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_text(monkeypatch, "create_hybrid", HYBRID)
    replace_text(monkeypatch, "update", "INSERT INTO {table} (id, n) VALUES (:id, :n)")
    with examination(schema, "hybrid tables") as examined:
        *_, result = examined.results()
    assert result.verdict == "ok"
    assert {"hybrid_select", "hybrid_merge"} <= {*examined.times}


def test_store_on_hybrid_tables_is_tried_if_they_exist(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hybrid, "TableKind", SimpleNamespace(HYBRID=TableKind.STANDARD))
    assert ask_one(schema, "store on hybrid tables", is_long=True).verdict == "ok"


def replace_text(monkeypatch: pytest.MonkeyPatch, name: str, instead: str) -> None:
    """Replace a statement of the probe by another, which results as Snowflake must not."""
    text = Scratch.text

    def replaced(self: Scratch, wanted: str, **names: str) -> str:
        if wanted != name:
            return text(self, wanted, **names)
        own = {"table": self.table, "hybrid": self.hybrid, **names}
        return instead.format(**own)

    monkeypatch.setattr(Scratch, "text", replaced)
