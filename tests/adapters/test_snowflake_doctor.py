"""What ``fleet-q doctor`` reports on Snowflake, and that it changes nothing."""

from __future__ import annotations

import itertools
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import msgspec
import pytest

from fleet_q.adapters.diagnosis import Finding
from fleet_q.adapters.snowflake import doctor
from fleet_q.adapters.snowflake.doctor import examination
from fleet_q.adapters.snowflake.session import Session
from fleet_q.adapters.snowflake.statements import Statements
from tests.standin.client import Schema
from tests.waiting import LIMIT

pytestmark = pytest.mark.slow

CHECKS = [
    "sign-in", "role", "warehouse", "auto-suspend", "slots", "database", "schema", "tables",
    "retention", "version", "procedures", "privileges", "result cache", "consistency", "egress",
    "clock", "latency",
]  # fmt: skip
NOW = 1_700_000_000_000_000
NAMED = ("account", "user", "role", "warehouse", "database", "schema")


@pytest.fixture
def migrated(tables: Schema) -> Schema:
    """A schema with the tables."""
    tables.set(clock=NOW)
    return tables


def examine(
    schema: Schema, clock: Callable[[], int] = lambda: NOW, **parameters: Any
) -> dict[str, Finding]:
    """The findings by check. ``parameters`` that are ``None`` are left out of the connection."""
    connection = {"login_timeout": int(LIMIT), **schema.parameters, **parameters}
    connection = {name: value for name, value in connection.items() if value is not None}
    session = Session(connection, Statements())
    named = {name: connection[name] for name in NAMED if name in connection}
    try:
        findings = list(examination(session, named, clock))
    finally:
        session.close()
    assert [finding.check for finding in findings] == CHECKS
    assert all((f.fix is not None) == (f.verdict in ("warn", "fail")) for f in findings), findings
    return {finding.check: finding for finding in findings}


def problems(findings: dict[str, Finding]) -> dict[str, str]:
    """The verdicts that are not ``ok``."""
    return {name: f.verdict for name, f in findings.items() if f.verdict != "ok"}


def test_doctor_finds_no_problem_on_a_healthy_account(migrated: Schema) -> None:
    findings = examine(migrated)
    assert problems(findings) == {}
    assert findings["sign-in"].message == "as FLEET, account STANDIN"


def test_doctor_writes_nothing_and_locks_nothing(migrated: Schema) -> None:
    examine(migrated)
    assert [statement for statement in migrated.log() if statement.writes or statement.locked] == []


def test_wrong_password_skips_all_other_checks_and_is_not_shown(migrated: Schema) -> None:
    migrated.fault("error", on="login", error="password", times=None)
    findings = examine(migrated, password="sesame")
    assert problems(findings) == {"sign-in": "fail"} | dict.fromkeys(CHECKS[1:], "skipped")
    assert "Incorrect username or password" in findings["sign-in"].message
    assert "SNOWFLAKE_USER" in str(findings["sign-in"].fix)
    assert {f.message for f in findings.values() if f.verdict == "skipped"} == {
        "cannot be checked because sign-in failed"
    }


def test_unreachable_server_fails_with_advice_to_check_the_account(schema: Schema) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    findings = examine(schema, port=port, login_timeout=1)
    assert findings["sign-in"].verdict == "fail"
    assert "SNOWFLAKE_ACCOUNT" in str(findings["sign-in"].fix)


@pytest.mark.parametrize("role", ["ACCOUNTADMIN", "sysadmin"])
def test_administrator_role_is_a_warning(migrated: Schema, role: str) -> None:
    findings = examine(migrated, role=role)
    assert problems(findings) == {"role": "warn"}
    assert 'GRANT ROLE FLEET_Q TO USER "FLEET"' in str(findings["role"].fix)


def test_unset_warehouse_fails_with_the_variable_to_set(migrated: Schema) -> None:
    findings = examine(migrated, warehouse=None)
    checks = ("auto-suspend", "slots", "version", "procedures", "privileges")
    skipped = dict.fromkeys(checks, "skipped")
    assert problems(findings) == {"warehouse": "fail"} | skipped
    assert findings["warehouse"].fix == "export SNOWFLAKE_WAREHOUSE=..."


@pytest.mark.parametrize(
    ("kind", "create", "name"),
    [
        ("warehouse", "CREATE WAREHOUSE IF NOT EXISTS", '"QUEUE"'),
        ("database", "CREATE DATABASE IF NOT EXISTS", '"FLEET_Q"'),
        ("schema", "CREATE SCHEMA IF NOT EXISTS", '"FLEET_Q"."{schema}"'),
    ],
)
def test_missing_object_fails_with_statements_that_create_and_grant_it(
    migrated: Schema, kind: str, create: str, name: str
) -> None:
    migrated.set(lacking=[kind])
    findings = examine(migrated)
    assert findings[kind].verdict == "fail"
    assert findings["privileges"].verdict == "skipped"
    name = name.format(schema=migrated.name)
    grant = f'GRANT USAGE ON {kind.upper()} {name} TO ROLE "FLEET"'
    assert str(findings[kind].fix).startswith(f"{create} {name}")
    assert str(findings[kind].fix).endswith(f"; {grant}")


@pytest.mark.parametrize(
    ("seconds", "verdict", "text"),
    [
        (30, "ok", "after 30 s"),
        (60, "ok", "after 60 s"),
        (61, "warn", "for 61 s"),
        (600, "warn", "for 600 s"),
        (0, "warn", "for ever"),
        (None, "warn", "for ever"),
    ],
)
def test_auto_suspend_above_one_minute_is_a_warning(
    migrated: Schema, seconds: int | None, verdict: str, text: str
) -> None:
    migrated.set(auto_suspend=seconds)
    finding = examine(migrated)["auto-suspend"]
    assert (finding.verdict, text in finding.message) == (verdict, True)
    if verdict == "warn":
        assert finding.fix == 'ALTER WAREHOUSE "QUEUE" SET AUTO_SUSPEND = 60'


def test_warehouse_without_auto_resume_fails(migrated: Schema) -> None:
    migrated.set(auto_resume=False)
    findings = examine(migrated)
    assert problems(findings) == {"auto-suspend": "fail"}
    assert findings["auto-suspend"].fix == 'ALTER WAREHOUSE "QUEUE" SET AUTO_RESUME = TRUE'


def test_missing_tables_fail_with_the_command_that_creates_them(schema: Schema) -> None:
    schema.set(clock=NOW)
    findings = examine(schema)
    skipped = dict.fromkeys(("retention", "version", "procedures", "privileges"), "skipped")
    assert problems(findings) == {"tables": "fail"} | skipped
    assert '"STEP_TRACKER"' in findings["tables"].message
    assert findings["tables"].fix == "fleet-q schema --store snowflake:// --apply --role FLEET"


@pytest.mark.parametrize(
    ("change", "message", "fix"),
    [
        ('UPDATE "FLEET_Q" SET schema_version = 99', "99, and this FLEET-Q knows", "pip install"),
        ('UPDATE "FLEET_Q" SET schema_version = 1', "1, and this FLEET-Q needs", "--apply"),
        (
            'DELETE FROM "FLEET_Q"',
            "creating the tables was interrupted",
            "schema --store snowflake:// --apply",
        ),
    ],
)
def test_other_schema_version_fails_with_advice(
    migrated: Schema, change: str, message: str, fix: str
) -> None:
    session = Session(migrated.parameters, Statements())
    session.execute(change)
    session.close()
    findings = examine(migrated)
    assert problems(findings) == {"version": "fail", "procedures": "skipped"}
    assert message in findings["version"].message
    assert fix in str(findings["version"].fix)


def test_missing_privileges_fail_with_the_grants_to_run(migrated: Schema) -> None:
    migrated.set(denied=[["SELECT", "STEP_EVENTS"], ["SELECT", "POD_HEALTH"]])
    findings = examine(migrated)
    assert problems(findings) == {"privileges": "fail"}
    assert findings["privileges"].message == 'FLEET lacks SELECT on "POD_HEALTH" and "STEP_EVENTS"'
    where = f'"FLEET_Q"."{migrated.name}"'
    assert findings["privileges"].fix == (
        f'GRANT SELECT ON TABLE {where}."POD_HEALTH" TO ROLE "FLEET"; '
        f'GRANT SELECT ON TABLE {where}."STEP_EVENTS" TO ROLE "FLEET"'
    )


@pytest.mark.parametrize("table", ["STEP_TRACKER", "POD_HEALTH", "STEP_EVENTS", "POD_EVENTS"])
def test_privileges_are_checked_on_every_table(migrated: Schema, table: str) -> None:
    migrated.set(denied=[["SELECT", table]])
    assert f'on "{table}"' in examine(migrated)["privileges"].message


def test_privileges_to_write_tables_are_not_required(migrated: Schema) -> None:
    migrated.set(denied=[["UPDATE", "STEP_TRACKER"], ["INSERT", "STEP_EVENTS"]])
    assert problems(examine(migrated)) == {}


def test_procedure_that_the_role_may_not_call_fails_with_the_command_to_run(
    migrated: Schema,
) -> None:
    sync = Statements().procedures["sync"].name
    migrated.set(denied=[["USAGE", sync.strip('"')]])
    findings = examine(migrated)
    assert problems(findings) == {"procedures": "fail"}
    assert (
        findings["procedures"].message == f"{sync} missing, outdated, or not to be called by FLEET"
    )
    assert findings["procedures"].fix == "fleet-q schema --store snowflake:// --apply --role FLEET"


def test_procedures_of_operators_are_not_required(migrated: Schema) -> None:
    migrated.set(denied=[["USAGE", Statements().procedures["prune_pod"].name.strip('"')]])
    assert problems(examine(migrated)) == {}


def test_disabled_result_cache_is_a_warning(migrated: Schema) -> None:
    findings = examine(migrated, session_parameters={"USE_CACHED_RESULT": False})
    assert problems(findings) == {"result cache": "warn"}
    assert findings["result cache"].fix == 'ALTER USER "FLEET" SET USE_CACHED_RESULT = TRUE'


@pytest.mark.parametrize(
    ("slots", "verdict", "fix"),
    [
        ("8", "ok", None),
        ("16", "ok", None),
        ("4", "warn", 'ALTER WAREHOUSE "QUEUE" SET MAX_CONCURRENCY_LEVEL = 8'),
    ],
)
def test_slots_of_the_warehouse_are_named(
    migrated: Schema, slots: str, verdict: str, fix: str | None
) -> None:
    migrated.set(parameters={"MAX_CONCURRENCY_LEVEL": slots})
    finding = examine(migrated)["slots"]
    assert (finding.verdict, finding.fix) == (verdict, fix)
    assert finding.message.startswith(f"{slots} statements at a time")


@pytest.mark.parametrize(
    ("mode", "message"), [("SESSION", "a moment later"), ("GLOBAL", "at once")]
)
def test_read_consistency_of_the_account_is_named(
    migrated: Schema, mode: str, message: str
) -> None:
    migrated.set(parameters={"READ_CONSISTENCY_MODE": mode})
    finding = examine(migrated)["consistency"]
    assert (finding.verdict, mode in finding.message) == ("ok", True)
    assert message in finding.message


@pytest.mark.parametrize(
    ("check", "statement"), [("consistency", "IN ACCOUNT"), ("slots", "IN WAREHOUSE")]
)
def test_parameter_that_the_role_may_not_see_is_no_problem(
    migrated: Schema, check: str, statement: str
) -> None:
    migrated.fault("error", matching=statement, code="003001", message="denied")
    finding = examine(migrated)[check]
    assert (finding.verdict, "not visible to FLEET" in finding.message) == ("ok", True)


def test_time_travel_of_a_table_that_changes_is_a_warning(migrated: Schema) -> None:
    migrated.set(retention={"STEP_TRACKER": ["TABLE", "1"], "POD_HEALTH": ["TRANSIENT", "0"],
                            "POD_HEARTBEATS": ["TRANSIENT", "0"], "QUEUES": ["TRANSIENT", "0"],
                            "STEP_INBOX": ["TRANSIENT", "0"], "STEP_PROGRESS": ["TRANSIENT", "0"],
                            "SYNC_REQUESTS": ["TRANSIENT", "0"],
                            "SCHEDULES": ["TRANSIENT", "0"],
                                "ALERTS": ["TRANSIENT", "0"]})  # fmt: skip
    findings = examine(migrated)
    assert problems(findings) == {"retention": "warn"}
    assert "STEP_TRACKER are kept" in findings["retention"].message
    assert findings["retention"].fix == (
        'ALTER TABLE "STEP_TRACKER" SET DATA_RETENTION_TIME_IN_DAYS = 0'
    )
    with closing(Session(migrated.parameters, Statements())) as session:
        session.execute(findings["retention"].fix)
    finding = examine(migrated)["retention"]
    assert (finding.verdict, "Fail-safe of STEP_TRACKER" in finding.message) == ("ok", True)


@pytest.fixture
def listening() -> Iterator[int]:
    """The port of a host that can be reached."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed() -> Iterator[int]:
    """A port at which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "getproxies", dict)


def host(type_: str, port: int, name: str = "127.0.0.1") -> dict[str, Any]:
    return {"type": type_, "host": name, "port": port}


def test_hosts_that_can_be_reached_are_counted(migrated: Schema, listening: int) -> None:
    several = host("STAGE", 443, "*.blob.example")  # stands for many
    migrated.set(allowlist=[host("SNOWFLAKE_DEPLOYMENT", listening), several])
    finding = examine(migrated)["egress"]
    assert (finding.verdict, finding.message[:5]) == ("ok", "all 1")


@pytest.mark.parametrize(("type_", "verdict"), [("STAGE", "fail"), ("OCSP_CACHE", "warn")])
def test_host_that_cannot_be_reached_is_named(
    migrated: Schema, listening: int, closed: int, type_: str, verdict: str
) -> None:
    migrated.set(allowlist=[host("SNOWFLAKE_DEPLOYMENT", listening), host(type_, closed)])
    findings = examine(migrated)
    assert problems(findings) == {"egress": verdict}
    assert f"127.0.0.1:{closed}" in findings["egress"].message
    assert f"127.0.0.1:{closed}" in str(findings["egress"].fix)
    assert str(listening) not in findings["egress"].message


def test_hosts_behind_a_proxy_are_not_tried(
    migrated: Schema, closed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "getproxies", lambda: {"https": "http://proxy:3128"})
    migrated.set(allowlist=[host("STAGE", closed)])
    finding = examine(migrated)["egress"]
    assert (finding.verdict, "proxy" in finding.message) == ("ok", True)


def test_account_that_does_not_name_its_hosts_is_no_problem(migrated: Schema) -> None:
    migrated.fault("error", matching="ALLOWLIST", code="002141", message="unknown function")
    finding = examine(migrated)["egress"]
    assert (finding.verdict, "does not name its hosts" in finding.message) == ("ok", True)


@pytest.mark.parametrize(("seconds", "side"), [(120, "ahead of"), (-120, "behind")])
def test_difference_between_clocks_is_a_warning(migrated: Schema, seconds: int, side: str) -> None:
    migrated.set(clock=NOW + seconds * 1_000_000)
    findings = examine(migrated)
    assert problems(findings) == {"clock": "warn"}
    assert re.match(rf"120\.00 s {side} this machine's", findings["clock"].message)


def test_slow_statements_are_a_warning(migrated: Schema) -> None:
    ticks = itertools.count(NOW, 600_000)
    findings = examine(migrated, clock=lambda: next(ticks))
    assert problems(findings) == {"latency": "warn"}
    assert "600 ms a statement" in findings["latency"].message


def test_lost_session_fails_only_the_check_that_it_interrupts(migrated: Schema) -> None:
    migrated.fault("error", on="show", matching="WAREHOUSES", error="gone")
    findings = examine(migrated)
    assert (findings["auto-suspend"].verdict, findings["auto-suspend"].fix) == (
        "fail",
        "fleet-q doctor",
    )
    assert set(problems(findings)) == {"auto-suspend"}


def test_doctor_shows_no_password(migrated: Schema) -> None:
    migrated.set(denied=[["SELECT", "STEP_EVENTS"]], auto_suspend=None)
    shown = msgspec.json.encode(
        list(examine(migrated, password="sesame", role="SYSADMIN").values())
    )
    assert b"sesame" not in shown
