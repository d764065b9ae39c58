"""The commands ``schema``, ``doctor`` and ``rebuild``, run in the process of the test."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from fleet_q.adapters.snowflake.statements import Statements
from fleet_q.sql import schema_version
from tests.services.conftest import Command
from tests.standin.client import Schema
from tests.standin.helpers import Driver


def test_rebuild_check_finds_a_changed_row_and_rebuild_corrects_it(
    fleet_q: Command, tmp_path: Path
) -> None:
    fleet_q("submit", "{}", "--step-id", "mine")
    with sqlite3.connect(tmp_path / "fleet-q.db") as connection:
        connection.execute("UPDATE step_tracker SET status = 'completed'")
    code, _, err = fleet_q("rebuild", "--check")
    assert (code, "'mine'" in err) == (1, True)
    assert json.loads(fleet_q("rebuild", "--json")[1])["differing_steps"] == ["mine"]
    assert fleet_q("rebuild", "--check")[0] == 0
    assert json.loads(fleet_q("queue", "--json")[1])["pending"] == 1


def test_rebuild_names_rows_that_were_put_in_by_hand(fleet_q: Command, tmp_path: Path) -> None:
    fleet_q("submit", "{}", "--step-id", "mine")
    with sqlite3.connect(tmp_path / "fleet-q.db") as connection:
        connection.execute(
            "INSERT INTO step_events (step_id, version, type, event_ts)"
            " VALUES ('theirs', 2, 'cancelled', 0)"
        )
        connection.execute("UPDATE step_tracker SET priority = 3, status = 'failed'")
    code, out, err = fleet_q("rebuild", "--check")
    assert code == 1
    assert out.splitlines() == [
        "step 'theirs' must begin with its only submitted event",
        "step 'mine' differs from its events in status, priority",
        "2 events of 1 steps, 0 pods: 1 rows differ from the log",
    ]
    assert "delete what was put in by hand" in err
    code, out, _ = fleet_q("rebuild")
    assert (code, out.splitlines()[-1].rpartition(": ")[2]) == (
        1,
        "1 rows differed from the log and were corrected",
    )
    with sqlite3.connect(tmp_path / "fleet-q.db") as connection:
        connection.execute("DELETE FROM step_events WHERE step_id = 'theirs'")
    assert fleet_q("rebuild", "--check")[0] == 0


def test_schema_prints_what_sqlite_runs(fleet_q: Command) -> None:
    code, out, _ = fleet_q("schema")
    assert code == 0
    sqlite3.connect(":memory:").executescript(out)


def test_schema_apply_on_sqlite_says_that_the_store_migrates_itself(fleet_q: Command) -> None:
    code, out, err = fleet_q("schema", "--apply")
    assert (code, err) == (0, "")
    assert out == "a SQLite store creates and migrates its own tables; there is nothing to apply\n"
    for words in (["--table-kind", "hybrid"], ["--role", "PODS"]):
        code, out, err = fleet_q("schema", *words)
        assert (code, out, "snowflake://" in err) == (1, "", True)


def test_schema_status_of_a_sqlite_store(fleet_q: Command, tmp_path: Path) -> None:
    known = schema_version("sqlite")
    code, out, err = fleet_q("schema", "--status")
    assert (code, err) == (0, "")
    assert out.splitlines()[:4] == [
        f"sqlite {tmp_path / 'fleet-q.db'}:",
        "no tables yet",
        "pending migrations, applied by whatever opens the file next:",
        "  001_tables",
    ]
    assert list(tmp_path.iterdir()) == []
    fleet_q("submit", "{}")
    code, out, _ = fleet_q("schema", "--status")
    assert out.splitlines()[1:] == [
        f"schema version {known}, the one that this FLEET-Q requires",
        "nothing is pending",
    ]
    with closing(sqlite3.connect(tmp_path / "fleet-q.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert fleet_q("schema", "--status")[1].endswith(f"requires {known}; upgrade fleet-q\n")
    assert json.loads(fleet_q("schema", "--status", "--json")[1]) == {
        "store": f"sqlite {tmp_path / 'fleet-q.db'}",
        "version": 99,
        "known": known,
        "status": "ahead",
        "pending": [],
        "missing_procedures": [],
    }


def test_schema_status_rejects_a_file_of_another_program(fleet_q: Command, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "fleet-q.db")) as connection:
        connection.execute("CREATE TABLE theirs (id)")
    code, out, err = fleet_q("schema", "--status")
    assert (code, out, "another program's database" in err) == (1, "", True)


def test_schema_rejects_options_that_cannot_be_combined(fleet_q: Command) -> None:
    for words in (["--status", "--apply"], ["--json"], ["--apply", "--json"]):
        code, out, err = fleet_q("schema", *words)
        assert (code, out, err.count("\n")) == (1, "", 1)


def test_snowflake_schema_is_printed_without_connection_and_connector(
    fleet_q: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "snowflake.connector", None)
    code, out, err = fleet_q("schema", "--store", "snowflake://")
    assert (code, err) == (0, "")
    assert 'USE SCHEMA "YOUR_DATABASE"."YOUR_SCHEMA";' in out
    assert 'GRANT USAGE ON WAREHOUSE "YOUR_WAREHOUSE" TO ROLE "FLEET_Q";' in out
    assert "CREATE HYBRID TABLE" not in out
    assert "-- For a separate role of operators" in out


def test_printed_schema_uses_the_names_of_variables_and_options(
    fleet_q: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNOWFLAKE_ACCOUNT", "xy12345")
    monkeypatch.setenv("SNOWFLAKE_WAREHOUSE", "small")
    monkeypatch.setenv("SNOWFLAKE_DATABASE", "not_this_one")
    monkeypatch.setenv("FLEET_Q_TABLE_PREFIX", "my_")
    code, out, _ = fleet_q(
        "schema", "--store", "snowflake://xy12345/jobs/queue", "--role", "pods",
        "--table-kind", "hybrid",
    )  # fmt: skip
    assert code == 0
    assert 'USE SCHEMA "JOBS"."QUEUE";' in out
    assert 'GRANT USAGE ON WAREHOUSE "SMALL" TO ROLE "PODS";' in out
    assert 'CREATE HYBRID TABLE IF NOT EXISTS "MY_STEP_TRACKER"' in out
    assert 'CREATE TABLE IF NOT EXISTS "MY_STEP_EVENTS"' in out


def test_doctor_passes_a_new_store(fleet_q: Command) -> None:
    fleet_q("submit", "{}")
    code, out, err = fleet_q("doctor")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == ["ok"] * 11
    found = json.loads(fleet_q("doctor", "--json")[1])
    assert {finding["verdict"] for finding in found} == {"ok"}


def test_doctor_shows_the_failed_check_its_fix_and_the_checks_it_skipped(
    fleet_q: Command,
) -> None:
    code, out, err = fleet_q("doctor")
    assert (code, err) == (1, "fleet-q: failed checks: file\n")
    lines = [line.split() for line in out.splitlines()]
    assert lines[3][:2] == ["fail", "file"]
    assert lines[4] == ["fix", "fleet-q", "worker"]
    assert [line[0] for line in lines[5:]] == ["skipped"] * 7
    code, out, _ = fleet_q("doctor", "--json")
    assert (code, json.loads(out)[3]["fix"]) == (1, "fleet-q worker")


@pytest.mark.parametrize("command", [["doctor"], ["schema"], ["schema", "--apply"]])
@pytest.mark.parametrize(
    ("store", "says"),
    [("memory://", "one process"), ("mysql://x", "sqlite:///path"), ("x", "not a store's URL")],
)
def test_schema_and_doctor_reject_memory_and_unknown_urls(
    fleet_q: Command, command: list[str], store: str, says: str
) -> None:
    code, out, err = fleet_q(*command, "--store", store)
    assert (code, out, says in err) == (1, "", True)


def test_snowflake_store_without_an_account_is_an_error(fleet_q: Command) -> None:
    for command in (["doctor"], ["schema", "--apply"]):
        code, out, err = fleet_q(*command, "--store", "snowflake://")
        assert (code, out) == (1, "")
        assert "SNOWFLAKE_ACCOUNT" in err


def test_missing_connector_is_an_error_with_the_install_command(
    fleet_q: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("fleet_q.adapters.snowflake.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "snowflake", None)
    for command in (["doctor"], ["schema", "--apply"]):
        code, out, err = fleet_q(*command, "--store", "snowflake://xy12345")
        assert (code, out) == (1, "")
        assert "pip install 'fleet-q[snowflake]'" in err


@pytest.fixture
def account(schema: Schema, monkeypatch: pytest.MonkeyPatch) -> Schema:
    """The Snowflake stand-in as the account of the environment."""
    for name, value in schema.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SNOWFLAKE_PASSWORD", "sesame")
    return schema


def test_schema_apply_then_submit_works_on_an_empty_snowflake_schema(
    fleet_q: Command, account: Schema
) -> None:
    code, out, err = fleet_q("queue")
    assert (code, out, "--apply" in err) == (1, "", True)
    assert fleet_q("doctor")[0] == 1
    code, out, err = fleet_q("schema", "--apply", "--role", "FLEET")
    assert (code, err) == (0, "")
    assert [line.split()[:2] for line in out.splitlines()[:2]] == [["done", "CREATE"]] * 2
    grants = "".join(line for line in out.splitlines(True) if line.split()[1] == "GRANT")
    assert fleet_q("schema", "--apply", "--role", "FLEET") == (0, grants, "")
    code, out, err = fleet_q("doctor")
    assert (code, err, {line.split()[0] for line in out.splitlines()}) == (0, "", {"ok"})
    code, out, err = fleet_q("submit", "{}", "--step-id", "first")
    assert (code, err) == (0, "")
    assert json.loads(fleet_q("status", "first", "--json")[1])["status"] == "pending"


def test_schema_status_on_snowflake(fleet_q: Command, account: Schema) -> None:
    known = schema_version("snowflake")
    code, out, err = fleet_q("schema", "--status")
    assert (code, err, out.splitlines()[1]) == (0, "", "no tables yet")
    assert "pending migrations, applied by fleet-q schema --apply:\n  001_tables\n" in out
    fleet_q("schema", "--apply")
    found = json.loads(fleet_q("schema", "--status", "--json")[1])
    assert (found["version"], found["known"], found["status"]) == (known, known, "current")
    assert found["pending"] == []
    assert fleet_q("schema", "--status")[1].endswith("\nnothing is pending\n")


def test_schema_status_lists_missing_procedures_in_lines_of_at_most_80_columns(
    fleet_q: Command, account: Schema
) -> None:
    fleet_q("schema", "--apply")
    procedures = [p.name.strip('"') for p in Statements().procedures.values()]
    account.set(denied=[["USAGE", name] for name in procedures])
    code, out, err = fleet_q("schema", "--status")
    assert (code, err) == (0, "")
    _, *lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1] == "procedures that are missing, outdated, or not for this role:"
    assert sorted(lines[2:-2]) == sorted(f"  {name}" for name in procedures)
    assert lines[-1] == "  fleet-q schema --apply --role YOUR_ROLE"


def test_newer_schema_is_rejected_in_one_line(fleet_q: Command, account: Schema) -> None:
    newer = schema_version("snowflake") + 1
    fleet_q("schema", "--apply")
    with Driver(account) as driver:
        driver.run(f'UPDATE "FLEET_Q" SET schema_version = {newer}')
    code, out, err = fleet_q("schema", "--apply")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert f"schema version {newer}" in err
    assert "upgrade fleet-q" in err
    code, out, err = fleet_q("queue")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert f"schema version {newer}" in err
    assert "upgrade fleet-q" in err


@pytest.mark.parametrize("command", [["doctor"], ["doctor", "--json"], ["schema", "--apply"]])
def test_failed_sign_in_shows_no_secret(
    fleet_q: Command, account: Schema, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    account.fault("error", on="login", error="password", times=None)
    code, out, err = fleet_q(*command, "-v")
    assert code == 1
    assert "Incorrect username or password" in out + err
    assert "sesame" not in out + err
