"""Asynchronous queries: they go on without their client, who asks for their status and result by
their ids, also in another session."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Any, Final

from . import errors
from .database import Database
from .sessions import Session

STATUS: Final = re.compile(r"/monitoring/queries/(?P<id>[^/]+)")
RESULT: Final = re.compile(r"/queries/(?P<id>[^/]+)/result")
ABORT: Final = re.compile(r"/queries/(?P<id>[^/]+)/abort-request")

IN_PROGRESS: Final = "333334"
"""The code of the answer to the request; in the connector QUERY_IN_PROGRESS_ASYNC_CODE."""


@dataclass(frozen=True)
class _Query:
    session: Session
    answer: asyncio.Task[dict[str, Any]]


class AsyncQueries:
    """The asynchronous queries of all sessions. A user sees only his own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries: dict[str, _Query] = {}

    def add(self, query_id: str, session: Session, answer: asyncio.Task[dict[str, Any]]) -> None:
        """Keep a query that has begun."""
        self._queries[query_id] = _Query(session, answer)

    async def answer(self, path: str, session: Session) -> dict[str, Any]:
        """The answer to a request for a query's status or result, or to cancel it."""
        if match := STATUS.fullmatch(path):
            return self._status(match["id"], session)
        match = RESULT.fullmatch(path) or ABORT.fullmatch(path)
        query = self._find(match["id"], session) if match is not None else None
        if query is None:
            raise errors.not_provided(f"{path} of a query that is not asynchronous")
        if path.endswith("/result"):
            return await asyncio.shield(query.answer)
        if not query.answer.done():
            self._database.cancel(query.session)
        return {"data": None, "code": None, "message": None, "success": True}

    def _find(self, query_id: str, session: Session) -> _Query | None:
        """A query that the user of this session may see."""
        query = self._queries.get(query_id)
        return query if query is not None and query.session.user == session.user else None

    def _status(self, query_id: str, session: Session) -> dict[str, Any]:
        """The answer to ``/monitoring/queries/ID``; no status for an id that is not known."""
        query = self._find(query_id, session)
        if query is None:
            return {"data": {"queries": []}, "success": True}
        status: dict[str, Any] = {"id": query_id, "status": "RUNNING"}
        if query.answer.done():
            answer = query.answer.result()
            status["status"] = "SUCCESS"
            if not answer["success"]:
                status["status"] = "FAILED_WITH_ERROR"
                status |= {"errorCode": answer["code"], "errorMessage": answer["message"]}
        elif any(query.session in waiters for _, _, waiters in self._database.locks.all()):
            status["status"] = "BLOCKED"
        return {"data": {"queries": [status]}, "success": True}


def in_progress(query_id: str) -> dict[str, Any]:
    """The answer to the request that begins a query."""
    return {
        "data": {"queryId": query_id, "getResultUrl": f"/queries/{query_id}/result"},
        "code": IN_PROGRESS,
        "message": "Asynchronous execution in progress.",
        "success": True,
    }
