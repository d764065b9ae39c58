"""Queries that run in Snowflake while their steps hold no slot: see README.md."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from typing import Any
from uuid import uuid4

import msgspec
from snowflake.connector import DictCursor, SnowflakeConnection
from snowflake.connector.constants import QueryStatus
from snowflake.connector.errors import InterfaceError, OperationalError, ProgrammingError

from fleet_q import ClaimLost, FleetQ, Snooze, UnknownStep, current_step

_HISTORY = (
    "SELECT query_id, execution_status"
    " FROM TABLE(INFORMATION_SCHEMA.QUERY_HISTORY_BY_USER(RESULT_LIMIT => 10000))"
    " WHERE query_tag = '{}'"
)
_FAILED = {"FAILED_WITH_ERROR", "FAILED_WITH_INCIDENT"}
_ENDED = {"SUCCESS", *_FAILED}


class ParkedQueries:
    """Runs queries for the steps of ``app``, one for each step.

    ``connect`` opens a connection with the session parameters that it is given. Every ``poll``
    seconds a step looks whether its query has ended. Snowflake cancels a query after ``timeout``
    seconds, whatever became of its step.
    """

    def __init__(
        self,
        app: FleetQ,
        connect: Callable[[dict[str, Any]], SnowflakeConnection],
        *,
        poll: float = 30.0,
        timeout: int = 86_400,
    ) -> None:
        self._app = app
        self._connect = connect
        self._poll = poll
        self._timeout = timeout

        @app.task("cancel parked query", max_retries=20)
        def cancel(tag: str) -> None:
            self._cancel(tag)

        self._canceller = cancel

    async def run(self, sql: str) -> list[dict[str, Any]]:
        """Return the rows of a query, or put the step off until it has ended. The step's checkpoint
        is this method's: a function that calls it saves nothing itself."""
        return await asyncio.to_thread(self._run, sql)

    def _run(self, sql: str) -> list[dict[str, Any]]:
        query: dict[str, str] = current_step().saved or {}
        try:
            if "id" not in query:
                query = self._submit(sql, query.get("tag"))
            with closing(self._connect({})) as connection:
                return self._rows(connection, query)
        except (OperationalError, InterfaceError) as error:
            raise Snooze(self._poll) from error

    def _submit(self, sql: str, tag: str | None) -> dict[str, str]:
        """Submit the query, unless an earlier attempt has, with a step that cancels it if this one
        ends before it."""
        step, is_first = current_step(), tag is None
        tag = tag or f"fleet-q-{uuid4()}"
        if is_first:
            step.save({"tag": tag})
        canceller = self._canceller.options(
            step_id=f"cancel-{tag}", after={step.step_id: "finished"}
        )
        canceller.submit(tag=tag)
        if not is_first:
            if self._is_cancelled(tag):
                return self._submit(sql, None)
            with closing(self._connect({})) as connection:
                for query_id, status in _queries(connection, tag):
                    if status not in _FAILED:
                        query = {"tag": tag, "id": query_id}
                        step.save(query)
                        return query
        parameters = {"QUERY_TAG": tag, "STATEMENT_TIMEOUT_IN_SECONDS": self._timeout}
        with closing(self._connect(parameters)) as connection, connection.cursor() as cursor:
            cursor.execute_async(sql)
            query = {"tag": tag, "id": str(cursor.sfqid)}
            try:
                step.save(query)
            except ClaimLost:
                cursor.abort_query(query["id"])
                raise
        return query

    def _is_cancelled(self, tag: str) -> bool:
        """Whether the step has ended since it submitted the query, and was replayed."""
        try:
            return self._app.status(f"cancel-{tag}").status != "waiting"
        except UnknownStep:  # it was pruned
            return True

    def _rows(self, connection: SnowflakeConnection, query: dict[str, str]) -> list[dict[str, Any]]:
        step = current_step()
        try:
            status = connection.get_query_status_throw_if_error(query["id"])
        except ProgrammingError:
            step.save(None)  # the next attempt submits it again
            if self._is_cancelled(query["tag"]):
                raise Snooze(0) from None
            raise
        if status is not QueryStatus.SUCCESS:
            step.progress(text=f"{status.name.lower()}: query {query['id']}")
            raise Snooze(self._poll)
        with connection.cursor(DictCursor) as cursor:
            cursor.query_result(query["id"])
            rows: list[dict[str, Any]] = msgspec.to_builtins(cursor.fetchall())
        return rows

    def _cancel(self, tag: str) -> None:
        """Cancel what runs under ``tag`` now that its step has ended. It looks again, since a pod
        that dies may have submitted the query late."""
        step = current_step()
        for parent in step.parents.values():
            if parent.status == "completed":
                return
            if not parent.is_final:
                raise Snooze(self._poll)  # it was replayed
        with closing(self._connect({})) as connection, connection.cursor() as cursor:
            running = [q for q, status in _queries(connection, tag) if status not in _ENDED]
            for query_id in running:
                cursor.abort_query(query_id)
        if running or not step.saved:
            step.save("looked")
            raise Snooze(self._poll)


def _queries(connection: SnowflakeConnection, tag: str) -> list[tuple[str, str]]:
    """The ids and statuses of this user's queries with a tag. The statement takes a warehouse."""
    with connection.cursor() as cursor:
        cursor.execute(_HISTORY.format(tag))
        rows: list[Any] = cursor.fetchall()
    return rows
