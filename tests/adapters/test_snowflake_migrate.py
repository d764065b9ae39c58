"""Creating the tables in Snowflake, and migrating them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fleet_q.adapters.snowflake.migrate import migrate, missing_procedures
from fleet_q.adapters.snowflake.schema import TableKind
from fleet_q.adapters.snowflake.session import Session
from fleet_q.adapters.snowflake.statements import Statements
from fleet_q.core.errors import StoreError
from tests.standin.client import Schema
from tests.waiting import LIMIT

pytestmark = pytest.mark.slow


@pytest.fixture
def session(schema: Schema) -> Iterator[Session]:
    session = open_session(schema)
    yield session
    session.close()


def open_session(schema: Schema, prefix: str = "", **parameters: Any) -> Session:
    return Session(
        {**schema.parameters, "network_timeout": int(LIMIT), **parameters}, Statements(prefix)
    )


def row_counts(session: Session) -> dict[str, int]:
    """The number of rows of each table that exists."""
    names = [row["name"] for row in session.show("show_tables")]
    return {name: session.execute(f'SELECT COUNT(*) FROM "{name}"')[0][0] for name in names}


ALL = {
    "STEP_TRACKER": 0,
    "POD_HEALTH": 0,
    "STEP_EVENTS": 0,
    "POD_EVENTS": 0,
    "QUEUES": 0,
    "STEP_INBOX": 0,
    "QUEUE_EVENTS": 0,
    "SCHEDULES": 0,
    "SCHEDULE_EVENTS": 0,
    "ALERTS": 0,
    "POD_HEARTBEATS": 0,
    "STEP_PROGRESS": 0,
    "SYNC_REQUESTS": 0,
    "FLEET_Q": 1,
}


def test_migrate_creates_the_tables_and_can_be_repeated(session: Session) -> None:
    heads = list(migrate(session))
    assert [head.split()[0] for head in heads[:6]] == ["CREATE"] * 5 + ["INSERT"]
    assert 'CREATE TRANSIENT TABLE IF NOT EXISTS "STEP_TRACKER"' in heads
    procedures = session.statements.procedures.values()
    assert heads[-len(procedures) :] == [
        f"CREATE OR REPLACE PROCEDURE {procedure.name}" for procedure in procedures
    ]
    assert row_counts(session) == ALL
    assert list(migrate(session)) == []
    assert row_counts(session) == ALL


def test_migrate_grants_the_named_role_its_privileges(schema: Schema, session: Session) -> None:
    heads = list(migrate(session, role="pods"))
    grants = [head for head in heads if head.startswith("GRANT")]
    assert len(grants) == 32
    assert grants[0] == 'GRANT USAGE ON WAREHOUSE "QUEUE" TO ROLE "PODS"'
    where = f'"{schema.database}"."{schema.name}"'
    assert f'GRANT SELECT ON TABLE {where}."STEP_EVENTS" TO ROLE "PODS"' in grants
    recover = session.statements.procedures["recover"].signature
    assert f'GRANT USAGE ON PROCEDURE {where}.{recover} TO ROLE "PODS"' in grants
    assert recover.endswith('"(VARCHAR, NUMBER, VARCHAR, VARCHAR, VARCHAR)')
    sent = [statement.text for statement in schema.log()]
    assert sent[-len(grants) :] == grants


def test_two_fleets_can_share_a_schema_with_different_prefixes(
    schema: Schema, session: Session
) -> None:
    list(migrate(session))
    other = open_session(schema, prefix="other_")
    list(migrate(other))
    other.close()
    assert row_counts(session) == {**ALL, **{f"OTHER_{name}": rows for name, rows in ALL.items()}}


def test_interrupted_migration_is_completed_by_the_next(schema: Schema, session: Session) -> None:
    schema.fault("error", on="create", matching="POD_HEALTH", code="000603", message="went wrong")
    with pytest.raises(StoreError, match=r'^CREATE TRANSIENT TABLE .*"POD_HEALTH": .*went wrong'):
        list(migrate(session))
    assert set(row_counts(session)) == {"STEP_EVENTS", "POD_EVENTS", "STEP_TRACKER"}
    list(migrate(session))
    assert row_counts(session) == ALL


def test_missing_or_outdated_procedure_is_created(session: Session) -> None:
    list(migrate(session))
    procedures = session.statements.procedures
    sync, submit = procedures["sync"], procedures["submit"]
    session.execute(f"DROP PROCEDURE {sync.signature}")
    session.execute(submit.text.replace(submit.comment, "FLEET-Q of last week"))
    assert missing_procedures(session) == [submit, sync]
    assert list(migrate(session)) == [
        f"CREATE OR REPLACE PROCEDURE {name}" for name in (submit.name, sync.name)
    ]
    assert missing_procedures(session) == []


def test_procedure_that_does_not_run_is_an_error_with_its_statement(
    schema: Schema, session: Session
) -> None:
    schema.fault("error", on="delete", matching="POD_HEALTH", code="000904", message="wrong name")
    with pytest.raises(StoreError, match=r'^CALL "FLEET_Q_\w+"\(\?.*wrong name'):
        list(migrate(session))


def test_newer_schema_version_is_rejected_before_any_change(
    schema: Schema, session: Session
) -> None:
    list(migrate(session))
    session.execute('UPDATE "FLEET_Q" SET schema_version = 99')
    schema.forget()
    with pytest.raises(StoreError, match=r"schema version 99.*upgrade fleet-q"):
        list(migrate(session, role="pods"))
    assert {statement.kind for statement in schema.log()} == {"select"}


def test_tables_of_one_kind_are_not_converted_to_the_other(
    schema: Schema, session: Session
) -> None:
    list(migrate(session, TableKind.STANDARD))
    session.execute("UPDATE \"FLEET_Q\" SET table_kind = 'hybrid'")
    schema.forget()
    with pytest.raises(StoreError, match=r"are hybrid tables, not standard ones.*--table-kind"):
        list(migrate(session, TableKind.STANDARD))
    assert {statement.kind for statement in schema.log()} == {"select"}
    session.execute("UPDATE \"FLEET_Q\" SET table_kind = 'standard'")
    list(migrate(session, TableKind.STANDARD))


def test_error_for_missing_hybrid_tables_names_the_alternative(session: Session) -> None:
    with pytest.raises(StoreError, match="--table-kind standard works on every account"):
        list(migrate(session, TableKind.HYBRID))


@pytest.mark.parametrize(
    ("on", "advice"), [("create", "may create tables in it"), ("grant", "MANAGE GRANTS")]
)
def test_error_for_a_missing_privilege_says_which_role_to_use(
    schema: Schema, session: Session, on: str, advice: str
) -> None:
    schema.fault("error", on=on, code="003001", sqlstate="42501", message="Insufficient privileges")
    with pytest.raises(StoreError, match=rf"Insufficient privileges \(.*{advice}"):
        list(migrate(session, role="pods"))


@pytest.mark.parametrize("missing", ["warehouse", "database", "schema"])
def test_migrate_without_warehouse_database_or_schema_changes_nothing(
    schema: Schema, session: Session, missing: str
) -> None:
    schema.set(lacking=[missing])
    with pytest.raises(StoreError, match=f"no {missing}; set SNOWFLAKE_{missing.upper()}"):
        list(migrate(session))
    assert [statement.kind for statement in schema.log()] == ["select"]
