"""Migration of tables of an earlier schema version in Snowflake."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from fleet_q.adapters.snowflake.migrate import migrate
from fleet_q.adapters.snowflake.schema import SCHEMA_VERSION, TableKind, steps
from fleet_q.adapters.snowflake.session import Session
from fleet_q.adapters.snowflake.statements import Statements, split
from fleet_q.adapters.snowflake.store import SnowflakeStore
from fleet_q.core.errors import StoreError
from fleet_q.core.pod import Join, SendHeartbeat
from fleet_q.core.ports import SyncRequest
from fleet_q.sql import migrations
from tests.adapters import version_1
from tests.standin.client import Schema
from tests.waiting import LIMIT

pytestmark = pytest.mark.slow

STATEMENTS: Final = Statements()
STORES: Final = Path(__file__).parent / "stores"

COLUMNS: Final = {
    "step_events": (
        "step_id, version, type, event_ts, pod_id, claim_token, incarnation, payload, priority,"
        " max_retries, available_ts, result, error, traceback, change_id"
    ),
    "pod_events": "pod_id, version, type, event_ts, by_pod_id, incarnation, change_id",
    "step_tracker": (
        "step_id, status, priority, payload, retry_count, max_retries, created_ts, last_update_ts,"
        " available_ts, claimed_by, incarnation, claim_token, result, error, traceback, version"
    ),
    "pod_health": "pod_id, status, birth_ts, last_heartbeat_ts, incarnation, version",
}


@pytest.fixture
def session(schema: Schema) -> Iterator[Session]:
    session = Session({**schema.parameters, "network_timeout": int(LIMIT)}, STATEMENTS)
    yield session
    session.close()


@pytest.fixture
def old(schema: Schema, session: Session) -> Schema:
    """Tables as version 1 created them, with the rows of the SQLite file of version 1."""
    text = (STORES / "snowflake_1_standard.sql").read_text()
    for statement in split(STATEMENTS.named(text)):
        session.execute(statement)
    for table, names in COLUMNS.items():
        columns = names.split(", ")
        values = [
            ", ".join(_literal(name, value) for name, value in zip(columns, row, strict=False))
            + (", 'old'" if columns[-1] == "change_id" else "")
            for row in version_1.rows(table, "1, 2")
        ]
        selects = " UNION ALL ".join(f"SELECT {row}" for row in values)
        session.execute(f'INSERT INTO "{table.upper()}" ({names}) {selects}')
    schema.forget()
    return schema


def _literal(column: str, value: Any) -> str:
    if value is None:
        return "NULL"
    if column.endswith("_ts"):
        return f"TO_TIMESTAMP_LTZ({value}, 6)"
    if isinstance(value, int):
        return str(value)
    return "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"


def rows(session: Session) -> dict[str, list[Any]]:
    """The rows of all tables, with the columns of version 1."""
    return {
        table: sorted(map(str, session.execute(f'SELECT {names} FROM "{table.upper()}"')))
        for table, names in COLUMNS.items()
    }


def test_tables_of_version_1_keep_their_history(old: Schema, session: Session) -> None:
    assert list(migrate(session))
    store = SnowflakeStore(old.parameters, patience=LIMIT)
    store.check_schema()
    version_1.check_history(store)
    store.close()
    assert list(migrate(session)) == []


def test_steps_of_tables_of_version_1_run_and_are_recovered(old: Schema, session: Session) -> None:
    old.set(clock=version_1.LATER)
    list(migrate(session))
    store = SnowflakeStore(old.parameters, patience=LIMIT)
    version_1.check_work(store)
    store.close()


def test_store_of_version_1_is_rejected_with_the_command_that_migrates_it(old: Schema) -> None:
    store = SnowflakeStore(old.parameters, patience=LIMIT)
    with pytest.raises(StoreError, match=r"have schema version 1.*run fleet-q schema --apply"):
        store.check_schema()
    store.close()


@pytest.mark.parametrize(
    ("version", "statement"),
    [
        pytest.param(
            migration.version,
            statement,
            id=" ".join(statement.split())[:60],
        )
        for migration in migrations("snowflake")[1:]
        for parts in [steps(STATEMENTS, migration, TableKind.STANDARD)]
        for statements in (parts.definitions, parts.changes)
        for statement in statements
    ],
)
def test_migration_cut_off_at_any_statement_leaves_the_old_version_and_can_be_repeated(
    old: Schema, session: Session, version: int, statement: str
) -> None:
    list(migrate(session, known=migrations("snowflake")[: version - 1]))
    before = rows(session)
    old.fault("error", matching=re.escape(statement), code="000603", message="went wrong")
    with pytest.raises(StoreError):
        list(migrate(session))
    assert rows(session) == before
    assert session.query("schema_version")[0][0] == version - 1

    list(migrate(session))
    store = SnowflakeStore(old.parameters, patience=LIMIT)
    version_1.check_history(store)
    store.close()


def test_steps_of_version_3_have_the_type_of_their_payload(
    schema: Schema, session: Session
) -> None:
    list(migrate(session, known=migrations("snowflake")[:3]))
    for number, payload in enumerate(version_1.TYPES):
        event = f"'s{number}', 1, {_literal('payload', payload)}, 0, 3"
        times = "CURRENT_TIMESTAMP(), TO_TIMESTAMP_LTZ(0, 6)"
        session.execute(
            'INSERT INTO "STEP_EVENTS" (step_id, version, payload, priority, max_retries, event_ts,'
            f" available_ts, type, change_id) SELECT {event}, {times}, 'submitted', 'old'"
        )
        session.execute(
            'INSERT INTO "STEP_TRACKER" (step_id, version, payload, priority, max_retries,'
            " created_ts, available_ts, last_update_ts, status, retry_count)"
            f" SELECT {event}, {times}, CURRENT_TIMESTAMP(), 'pending', 0"
        )
    list(migrate(session))
    store = SnowflakeStore(schema.parameters, patience=LIMIT)
    for number, task_type in enumerate(version_1.TYPES.values()):
        step = store.step(f"s{number}")
        assert step is not None
        assert (step.queue, step.task_type) == ("default", task_type)
    store.close()


def test_client_of_version_3_cannot_submit(schema: Schema, session: Session) -> None:
    """It would submit steps without a type."""
    list(migrate(session))
    with pytest.raises(StoreError, match=r"(?i)change_pod_id"):
        session.execute("INSERT INTO \"STEP_TRACKER\" (step_id, change_pod_id) SELECT 'late', NULL")


def test_concurrent_migrations_change_the_rows_once(old: Schema, session: Session) -> None:
    other = Session({**old.parameters, "network_timeout": int(LIMIT)}, STATEMENTS)
    first, second = migrate(session), migrate(other)
    next(first), next(second)
    list(second)
    old.forget()
    list(first)
    assert not [entry for entry in old.log() if entry.kind == "delete"], "rows were migrated twice"
    other.close()


def test_running_pod_of_version_1_is_rejected(old: Schema, session: Session) -> None:
    """Its heartbeats name a column that the migration has dropped."""
    list(migrate(session))
    with pytest.raises(StoreError, match=r"(?i)change_ts"):
        session.execute(
            'UPDATE "POD_HEALTH" SET last_heartbeat_ts = CURRENT_TIMESTAMP(),'
            " change_ts = CURRENT_TIMESTAMP() WHERE pod_id = 'worker'"
        )


def test_pod_ends_when_a_newer_version_migrates_the_tables(old: Schema, session: Session) -> None:
    list(migrate(session))
    store = SnowflakeStore(old.parameters, patience=LIMIT)
    store.sync(SyncRequest("new", "n1", Join("new", "n1")))
    session.execute(f'UPDATE "FLEET_Q" SET schema_version = {SCHEMA_VERSION + 1}')
    with pytest.raises(StoreError, match=r"schema version .* upgrade fleet-q"):
        store.sync(SyncRequest("new", "n1", SendHeartbeat("new", "n1")))
    store.close()


def test_migrated_tables_have_the_columns_of_new_ones(
    old: Schema, session: Session, standin: Any
) -> None:
    list(migrate(session))
    fresh = standin.schema()
    new = Session(fresh.parameters, STATEMENTS)
    list(migrate(new))
    for name in STATEMENTS.names.values():
        described = [
            sorted(  # the stand-in numbers sequences, from which defaults are taken
                re.sub(r"(_fs_seq_\w+)_[0-9a-f]{8}", r"\1", str(column))
                for column in s.execute(f"DESCRIBE TABLE {name}")
            )
            for s in (session, new)
        ]
        assert described[0] == described[1], name
    new.close()
    fresh.drop()


ONLY_STORAGE = re.compile(
    r"TRANSIENT | DATA_RETENTION_TIME_IN_DAYS = 0|, INDEX step_tracker_queue \([^)]*\)"
)
"""What has changed since: how tables are kept and indexed, which a pod does not see."""


def test_first_migration_creates_the_tables_of_version_1() -> None:
    for kind in TableKind:
        text = (STORES / f"snowflake_1_{kind}.sql").read_text()
        first = steps(STATEMENTS, migrations("snowflake")[0], kind)
        expected = [" ".join(part.split()) for part in split(STATEMENTS.named(text))]
        actual = [" ".join(part.split()) for part in first.definitions + first.changes]
        expected, actual = (
            [ONLY_STORAGE.sub("", t) for t in texts] for texts in (expected, actual)
        )
        assert actual == expected
