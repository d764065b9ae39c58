"""The tables of a Snowflake store in the stand-in."""

from __future__ import annotations

from contextlib import closing
from threading import Lock
from typing import Final

from fleet_q.adapters.snowflake.migrate import migrate
from fleet_q.adapters.snowflake.session import Session
from fleet_q.adapters.snowflake.statements import Statements

from .standin.client import Schema, shared


def create_tables(schema: Schema) -> None:
    """Create empty tables in a schema that has none."""
    with closing(Session(schema.parameters, Statements())) as session:
        for _ in migrate(session):
            pass


class Tables:
    """Schemas of the shared stand-in that have empty tables. Making them takes longer than most
    tests, so a schema that is not used any more is emptied and used again."""

    def __init__(self) -> None:
        self._free: list[Schema] = []
        self._lock = Lock()

    def take(self) -> Schema:
        """A schema that nobody uses."""
        with self._lock:
            if self._free:
                return self._free.pop()
        schema = shared().schema()
        create_tables(schema)
        schema.keep_rows()
        schema.forget()
        return schema

    def give_back(self, schema: Schema) -> None:
        """Empty the tables. Their columns must be as they were."""
        schema.reset()
        with self._lock:
            self._free.append(schema)


TABLES: Final = Tables()
