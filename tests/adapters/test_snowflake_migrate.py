"""Making the tables in Snowflake, and bringing them to another version."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fleet_q.adapters.snowflake.migrate import migrate
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


def made(session: Session) -> dict[str, int]:
    """The tables that are there, and how many rows they have."""
    names = [row["name"] for row in session.show("show_tables")]
    return {name: session.execute(f'SELECT COUNT(*) FROM "{name}"')[0][0] for name in names}


ALL = {"STEP_TRACKER": 0, "POD_HEALTH": 0, "STEP_EVENTS": 0, "POD_EVENTS": 0, "FLEET_Q": 1}


def test_it_makes_the_tables_and_may_be_run_again(session: Session) -> None:
    heads = list(migrate(session))
    assert [head.split()[0] for head in heads[:6]] == ["CREATE"] * 5 + ["INSERT"]
    assert 'CREATE TABLE IF NOT EXISTS "STEP_TRACKER"' in heads
    assert made(session) == ALL
    assert list(migrate(session)) == []
    assert made(session) == ALL


def test_the_role_that_is_named_is_granted_the_use(schema: Schema, session: Session) -> None:
    heads = list(migrate(session, role="pods"))
    grants = [head for head in heads if head.startswith("GRANT")]
    assert len(grants) == 8
    assert grants[0] == 'GRANT USAGE ON WAREHOUSE "QUEUE" TO ROLE "PODS"'
    where = f'"{schema.database}"."{schema.name}"'
    assert f'GRANT SELECT, INSERT ON TABLE {where}."STEP_EVENTS" TO ROLE "PODS"' in grants
    sent = [statement.text for statement in schema.log()]
    assert sent[-8:] == grants


def test_two_fleets_share_a_schema_by_their_prefix(schema: Schema, session: Session) -> None:
    list(migrate(session))
    other = open_session(schema, prefix="other_")
    list(migrate(other))
    other.close()
    assert made(session) == {**ALL, **{f"OTHER_{name}": rows for name, rows in ALL.items()}}


def test_what_was_cut_off_is_made_up_for(schema: Schema, session: Session) -> None:
    schema.fault("error", on="create", matching="POD_HEALTH", code="000603", message="went wrong")
    with pytest.raises(StoreError, match=r'^CREATE TABLE IF NOT EXISTS "POD_HEALTH": .*went wrong'):
        list(migrate(session))
    assert set(made(session)) == {"STEP_EVENTS", "POD_EVENTS", "STEP_TRACKER"}
    list(migrate(session))
    assert made(session) == ALL


def test_a_later_version_is_refused_before_anything_is_done(
    schema: Schema, session: Session
) -> None:
    list(migrate(session))
    session.execute('UPDATE "FLEET_Q" SET schema_version = 99')
    schema.forget()
    with pytest.raises(StoreError, match=r"schema version 99.*upgrade fleet-q"):
        list(migrate(session, role="pods"))
    assert {statement.kind for statement in schema.log()} == {"select"}


def test_tables_of_one_kind_are_not_made_into_the_other(schema: Schema, session: Session) -> None:
    list(migrate(session, TableKind.STANDARD))
    session.execute("UPDATE \"FLEET_Q\" SET table_kind = 'hybrid'")
    schema.forget()
    with pytest.raises(StoreError, match=r"are hybrid tables, not standard ones.*--table-kind"):
        list(migrate(session, TableKind.STANDARD))
    assert {statement.kind for statement in schema.log()} == {"select"}
    session.execute("UPDATE \"FLEET_Q\" SET table_kind = 'standard'")
    list(migrate(session, TableKind.STANDARD))


def test_an_account_without_hybrid_tables_is_told_what_runs(session: Session) -> None:
    with pytest.raises(StoreError, match="--table-kind standard works on every account"):
        list(migrate(session, TableKind.HYBRID))


@pytest.mark.parametrize(
    ("on", "says"), [("create", "may create tables in it"), ("grant", "MANAGE GRANTS")]
)
def test_a_role_that_may_not_is_told_which_may(
    schema: Schema, session: Session, on: str, says: str
) -> None:
    schema.fault("error", on=on, code="003001", sqlstate="42501", message="Insufficient privileges")
    with pytest.raises(StoreError, match=rf"Insufficient privileges \(.*{says}"):
        list(migrate(session, role="pods"))


@pytest.mark.parametrize("what", ["warehouse", "database", "schema"])
def test_a_session_that_is_nowhere_makes_nothing(
    schema: Schema, session: Session, what: str
) -> None:
    schema.set(lacking=[what])
    with pytest.raises(StoreError, match=f"no {what}; set SNOWFLAKE_{what.upper()}"):
        list(migrate(session))
    assert [statement.kind for statement in schema.log()] == ["select"]
