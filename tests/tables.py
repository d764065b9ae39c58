"""The tables of a Snowflake store in the stand-in."""

from __future__ import annotations

from contextlib import closing

from fleet_q.adapters.snowflake.migrate import migrate
from fleet_q.adapters.snowflake.session import Session
from fleet_q.adapters.snowflake.statements import Statements

from .standin.client import Schema


def create_tables(schema: Schema) -> None:
    """Create empty tables in a schema that has none."""
    with closing(Session(schema.parameters, Statements())) as session:
        for _ in migrate(session):
            pass
