"""A session of the real driver, for the tests of the stand-in."""

from __future__ import annotations

import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Final

import snowflake.connector

from tests.waiting import LIMIT

from .client import QUICK_RETRIES, Schema

Rows = list[tuple[Any, ...]]

ROWS: Final = "SELECT id, n FROM t ORDER BY id"
"""Reads the table of the fixtures."""


class Driver:
    """A session of the real driver. ``later`` runs a statement in a thread."""

    def __init__(self, schema: Schema, **parameters: Any) -> None:
        given = {
            "network_timeout": int(LIMIT),
            "login_timeout": int(LIMIT),
            **QUICK_RETRIES,
            **schema.parameters,
            **parameters,
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # 5.x has new names for time-outs
            self.connection = snowflake.connector.connect(**given)
        self._threads = ThreadPoolExecutor(1)

    def __enter__(self) -> Driver:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def run(self, text: str, *values: Any) -> Rows:
        """Run a statement and return its rows."""
        cursor = self.connection.cursor()
        cursor.execute(text, values or None)
        rows: Rows = cursor.fetchall()
        return rows

    def later(self, text: str, *values: Any) -> Future[Rows]:
        """Run a statement in a thread."""
        return self._threads.submit(self.run, text, *values)

    def transaction(self, *texts: str) -> None:
        """Begin a transaction with these statements in it."""
        self.run("BEGIN")
        for text in texts:
            self.run(text)

    def close(self) -> None:
        """Log out."""
        self.connection.close()
        self._threads.shutdown()


def create(body: str, arguments: str = "", returns: str = "VARCHAR", clauses: str = "") -> str:
    """The definition of a procedure ``p``."""
    return (
        f"CREATE OR REPLACE PROCEDURE p({arguments}) RETURNS {returns} LANGUAGE SQL {clauses}"
        f" AS $${body}$$"
    )


def waiting(schema: Schema) -> int:
    """How many sessions wait for a lock."""
    return sum(bool(session["waiting_for"]) for session in schema.sessions())
