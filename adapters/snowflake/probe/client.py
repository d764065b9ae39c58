"""A session of the probe: statements with their durations, and the connector's own errors."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final, NamedTuple

from snowflake.connector.errors import Error

from fleet_q.adapters.snowflake.parameters import SignIn
from fleet_q.adapters.snowflake.probe.scratch import Scratch
from fleet_q.adapters.snowflake.session import show
from fleet_q.sql.render import with_question_marks

PARAMETERS: Final = {"LOCK_TIMEOUT": 20, "STATEMENT_TIMEOUT_IN_SECONDS": 30}
"""The session parameters of the probe. They are short, so that no probe takes long."""

HISTORY_ATTEMPTS: Final = 5
HISTORY_PAUSE: Final = 0.5
"""Seconds until the history is read again if it lacks a statement."""


class Ran(NamedTuple):
    """A statement that ran; ``seconds`` at the client."""

    rows: list[tuple[Any, ...]]
    seconds: float
    query_id: str

    @property
    def changed(self) -> int:
        """How many rows a statement inserted, updated or deleted."""
        return int(self.rows[0][0])


class OnServer(NamedTuple):
    """What the server needed for a statement: ``warehouse`` is the size of its warehouse, or
    ``None``; ``seconds`` are without waiting for a slot or a lock."""

    warehouse: str | None
    seconds: float


def on_server(row: Sequence[Any]) -> OnServer:
    """What a row of ``history.sql`` says."""
    _, size, elapsed, waited, *_ = row
    return OnServer(size, max(int(elapsed) - int(waited or 0), 0) / 1_000)


class Client:
    """A session. Raises the connector's errors; one statement runs at a time."""

    def __init__(
        self, connection: Mapping[str, Any], scratch: Scratch, parameters: Mapping[str, Any]
    ) -> None:
        self._scratch = scratch
        self._connection = SignIn(self.parameters(connection, parameters)).connect()

    @staticmethod
    def parameters(
        connection: Mapping[str, Any], session_parameters: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The parameters of ``connect``, with the probe's session parameters."""
        given = connection.get("session_parameters", {})
        return {
            **connection,
            "session_parameters": {**given, **PARAMETERS, **session_parameters},
        }

    def run(self, name: str, *, on: str | None = None, **values: Any) -> Ran:
        """Run a statement of the folder ``sql/snowflake/probe``, on another table if ``on`` is its
        quoted name."""
        names = {} if on is None else {"table": on}
        text, order = with_question_marks(self._scratch.text(name, **names))
        return self.execute(text, *(values[value_name] for value_name in order))

    def execute(self, text: str, *values: Any) -> Ran:
        """Run a statement given as text."""
        cursor = self._connection.cursor()
        began = time.monotonic()
        cursor.execute(text, values or None)
        rows = cursor.fetchall()
        return Ran([tuple(row) for row in rows], time.monotonic() - began, cursor.sfqid or "")

    def show(self, name: str) -> list[dict[str, Any]]:
        """The rows of a SHOW statement as dicts."""
        return show(self._connection, self._scratch.text(name))

    def later(self, name: str, *, on: str | None = None, **values: Any) -> Future[Ran]:
        """Run a statement in a thread, which ends with the process."""
        future: Future[Ran] = Future()

        def run() -> None:
            try:
                future.set_result(self.run(name, on=on, **values))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        return future

    def history(self, query_ids: Collection[str]) -> dict[str, OnServer]:
        """What the server needed for statements of this session, by query id. The history may lack
        the latest ones for a moment, and for good if the role may not see it."""
        history: dict[str, OnServer] = {}
        for attempt in range(HISTORY_ATTEMPTS):
            if attempt:
                time.sleep(HISTORY_PAUSE)
            history = {row[0]: on_server(row) for row in self.run("history").rows}
            if history.keys() >= set(query_ids):
                break
        return {query_id: history[query_id] for query_id in query_ids if query_id in history}

    def close(self) -> None:
        """End the session, which rolls its transaction back."""
        with suppress(Error, OSError):
            self._connection.close()
