"""The doctor's look at Snowflake."""

from __future__ import annotations

import itertools
import re
import socket
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from fleet_q.adapters.diagnosis import Finding
from fleet_q.adapters.snowflake.doctor import examination
from fleet_q.adapters.snowflake.session import Session
from fleet_q.adapters.snowflake.statements import Statements
from tests.standin.client import Schema
from tests.tables import create_tables
from tests.waiting import LIMIT

pytestmark = pytest.mark.slow

CHECKS = [
    "sign-in", "role", "warehouse", "auto-suspend", "database", "schema", "tables", "version",
    "privileges", "result cache", "clock", "latency",
]  # fmt: skip
NOW = 1_700_000_000_000_000
NAMED = ("account", "user", "role", "warehouse", "database", "schema")


@pytest.fixture
def made(schema: Schema) -> Schema:
    """A schema with the tables in it."""
    create_tables(schema)
    schema.set(clock=NOW)
    schema.forget()
    return schema


def look(
    schema: Schema, clock: Callable[[], int] = lambda: NOW, **parameters: Any
) -> dict[str, Finding]:
    """What the doctor finds; ``parameters`` that are ``None`` are left out of the connection."""
    given = {"login_timeout": int(LIMIT), **schema.parameters, **parameters}
    given = {name: value for name, value in given.items() if value is not None}
    session = Session(given, Statements())
    named = {name: given[name] for name in NAMED if name in given}
    try:
        found = list(examination(session, named, clock))
    finally:
        session.close()
    assert [finding.check for finding in found] == CHECKS
    assert all((f.fix is not None) == (f.verdict in ("warn", "fail")) for f in found), found
    return {finding.check: finding for finding in found}


def but_ok(found: dict[str, Finding]) -> dict[str, str]:
    """The verdicts that are not ``ok``."""
    return {name: f.verdict for name, f in found.items() if f.verdict != "ok"}


def test_all_is_well(made: Schema) -> None:
    found = look(made)
    assert but_ok(found) == {}
    assert found["sign-in"].message == "as FLEET, account STANDIN"


def test_looking_leaves_no_trace(made: Schema) -> None:
    look(made)
    log = made.log()
    written = [statement for statement in log if statement.writes]
    assert {(s.kind, s.rows) for s in written} == {("insert", 0), ("update", 0)}
    assert all(statement.transaction is not None for statement in written)
    kinds = [statement.kind for statement in log]
    assert kinds.count("begin") == kinds.count("rollback") == 5
    assert "commit" not in kinds


def test_no_two_tables_are_locked_at_once(made: Schema) -> None:
    look(made)
    targets: dict[int | None, set[str | None]] = {}
    for statement in made.log(lambda statement: statement.writes):
        targets.setdefault(statement.transaction, set()).add(statement.target)
    assert all(len(tables) == 1 for tables in targets.values())


def test_a_wrong_password_skips_the_rest_and_is_not_shown(made: Schema) -> None:
    made.fault("error", on="login", error="password", times=None)
    found = look(made, password="sesame")
    assert but_ok(found) == {"sign-in": "fail"} | dict.fromkeys(CHECKS[1:], "skipped")
    assert "Incorrect username or password" in found["sign-in"].message
    assert "SNOWFLAKE_USER" in str(found["sign-in"].fix)
    assert {f.message for f in found.values() if f.verdict == "skipped"} == {
        "cannot be checked because sign-in failed"
    }


def test_where_nobody_listens_the_account_and_the_way_are_doubted(schema: Schema) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    found = look(schema, port=port, login_timeout=1)
    assert found["sign-in"].verdict == "fail"
    assert "SNOWFLAKE_ACCOUNT" in str(found["sign-in"].fix)


@pytest.mark.parametrize("role", ["ACCOUNTADMIN", "sysadmin"])
def test_an_administrators_role_is_a_warning(made: Schema, role: str) -> None:
    found = look(made, role=role)
    assert but_ok(found) == {"role": "warn"}
    assert 'GRANT ROLE FLEET_Q TO USER "FLEET"' in str(found["role"].fix)


def test_a_warehouse_that_is_not_named(made: Schema) -> None:
    found = look(made, warehouse=None)
    skipped = dict.fromkeys(("auto-suspend", "version", "privileges"), "skipped")
    assert but_ok(found) == {"warehouse": "fail"} | skipped
    assert found["warehouse"].fix == "export SNOWFLAKE_WAREHOUSE=..."


@pytest.mark.parametrize(
    ("what", "create", "name"),
    [
        ("warehouse", "CREATE WAREHOUSE IF NOT EXISTS", '"QUEUE"'),
        ("database", "CREATE DATABASE IF NOT EXISTS", '"FLEET_Q"'),
        ("schema", "CREATE SCHEMA IF NOT EXISTS", '"FLEET_Q"."{schema}"'),
    ],
)
def test_what_is_named_but_not_there(made: Schema, what: str, create: str, name: str) -> None:
    made.set(lacking=[what])
    found = look(made)
    assert found[what].verdict == "fail"
    assert found["privileges"].verdict == "skipped"
    name = name.format(schema=made.name)
    grant = f'GRANT USAGE ON {what.upper()} {name} TO ROLE "FLEET"'
    assert str(found[what].fix).startswith(f"{create} {name}")
    assert str(found[what].fix).endswith(f"; {grant}")


@pytest.mark.parametrize(
    ("seconds", "verdict", "says"),
    [
        (30, "ok", "after 30 s"),
        (60, "ok", "after 60 s"),
        (61, "warn", "for 61 s"),
        (600, "warn", "for 600 s"),
        (0, "warn", "for ever"),
        (None, "warn", "for ever"),
    ],
)
def test_a_warehouse_that_runs_on(
    made: Schema, seconds: int | None, verdict: str, says: str
) -> None:
    made.set(auto_suspend=seconds)
    found = look(made)["auto-suspend"]
    assert (found.verdict, says in found.message) == (verdict, True)
    if verdict == "warn":
        assert found.fix == 'ALTER WAREHOUSE "QUEUE" SET AUTO_SUSPEND = 60'


def test_a_warehouse_that_does_not_wake(made: Schema) -> None:
    made.set(auto_resume=False)
    found = look(made)
    assert but_ok(found) == {"auto-suspend": "fail"}
    assert found["auto-suspend"].fix == 'ALTER WAREHOUSE "QUEUE" SET AUTO_RESUME = TRUE'


def test_tables_that_are_not_there(schema: Schema) -> None:
    schema.set(clock=NOW)
    found = look(schema)
    assert but_ok(found) == {"tables": "fail", "version": "skipped", "privileges": "skipped"}
    assert '"STEP_TRACKER"' in found["tables"].message
    assert found["tables"].fix == "fleet-q schema --store snowflake:// --apply --role FLEET"


@pytest.mark.parametrize(
    ("change", "message", "fix"),
    [
        ('UPDATE "FLEET_Q" SET schema_version = 9', "9, and this FLEET-Q knows", "pip install"),
        ('UPDATE "FLEET_Q" SET schema_version = 1', "1, and this FLEET-Q needs", "--apply"),
        (
            'DELETE FROM "FLEET_Q"',
            "creating the tables was interrupted",
            "schema --store snowflake:// --apply",
        ),
    ],
)
def test_a_version_that_is_not_this_one(made: Schema, change: str, message: str, fix: str) -> None:
    session = Session(made.parameters, Statements())
    session.execute(change)
    session.close()
    found = look(made)
    assert but_ok(found) == {"version": "fail"}
    assert message in found["version"].message
    assert fix in str(found["version"].fix)


def test_privileges_that_the_role_has_not(made: Schema) -> None:
    made.set(denied=[["INSERT", "STEP_EVENTS"], ["UPDATE", "STEP_TRACKER"]])
    found = look(made)
    assert but_ok(found) == {"privileges": "fail"}
    assert found["privileges"].message == (
        'FLEET lacks INSERT on "STEP_EVENTS"; UPDATE on "STEP_TRACKER"'
    )
    where = f'"FLEET_Q"."{made.name}"'
    assert found["privileges"].fix == (
        f'GRANT SELECT, INSERT ON TABLE {where}."STEP_EVENTS" TO ROLE "FLEET"; '
        f'GRANT SELECT, INSERT, UPDATE ON TABLE {where}."STEP_TRACKER" TO ROLE "FLEET"'
    )


@pytest.mark.parametrize("table", ["STEP_TRACKER", "POD_HEALTH", "STEP_EVENTS", "POD_EVENTS"])
def test_every_table_is_tried(made: Schema, table: str) -> None:
    made.set(denied=[["SELECT", table], ["INSERT", table], ["DELETE", table]])
    assert f'on "{table}"' in look(made)["privileges"].message


def test_deleting_is_not_asked_of_a_pod(made: Schema) -> None:
    made.set(denied=[["DELETE", "STEP_TRACKER"], ["DELETE", "STEP_EVENTS"]])
    assert but_ok(look(made)) == {}


def test_a_result_cache_that_is_off(made: Schema) -> None:
    found = look(made, session_parameters={"USE_CACHED_RESULT": False})
    assert but_ok(found) == {"result cache": "warn"}
    assert found["result cache"].fix == 'ALTER USER "FLEET" SET USE_CACHED_RESULT = TRUE'


@pytest.mark.parametrize(("seconds", "side"), [(120, "ahead of"), (-120, "behind")])
def test_clocks_that_differ(made: Schema, seconds: int, side: str) -> None:
    made.set(clock=NOW + seconds * 1_000_000)
    found = look(made)
    assert but_ok(found) == {"clock": "warn"}
    assert re.match(rf"120\.00 s {side} this machine's", found["clock"].message)


def test_statements_that_take_long(made: Schema) -> None:
    ticks = itertools.count(NOW, 600_000)
    found = look(made, clock=lambda: next(ticks))
    assert but_ok(found) == {"latency": "warn"}
    assert "600 ms a statement" in found["latency"].message


def test_a_session_that_is_lost_on_the_way_fails_one_check(made: Schema) -> None:
    made.fault("error", on="show", matching="WAREHOUSES", error="gone")
    found = look(made)
    assert (found["auto-suspend"].verdict, found["auto-suspend"].fix) == ("fail", "fleet-q doctor")
    assert set(but_ok(found)) == {"auto-suspend"}


def test_no_secret_is_shown(made: Schema) -> None:
    made.set(denied=[["INSERT", "STEP_EVENTS"]], auto_suspend=None)
    shown = msgspec.json.encode(list(look(made, password="sesame", role="SYSADMIN").values()))
    assert b"sesame" not in shown
