"""The server, an ASGI application: answers the requests of drivers, with faults on demand.

Requests that it does not handle (uploads, statements to describe only) go to fakesnow's own
application.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import time
import uuid
from base64 import b64decode
from collections import defaultdict
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import fakesnow.server as fakesnow_server
from fakesnow.converter import from_binding
from fakesnow.transforms import SERVER_VERSION

from . import answers, asynchronous, errors, storage
from .asynchronous import AsyncQueries
from .control import Control
from .database import Database
from .errors import SnowflakeError
from .faults import ENDS_SESSION, Fault
from .log import Entry
from .plans import first_word, kinds
from .scene import Scene
from .sessions import Session
from .storage import Storage, moved

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LOGIN: Final = "/session/v1/login-request"
RENEW: Final = "/session/token-request"
SESSION: Final = "/session"
HEARTBEAT: Final = "/session/heartbeat"
QUERY: Final = "/queries/v1/query-request"
ABORT: Final = "/queries/v1/abort-request"
TELEMETRY: Final = "/telemetry/send"
_SECONDS_VALID: Final = 3_600


class App:
    """The ASGI application. Data is kept in the folder ``data``, or in memory without one."""

    def __init__(self, data: Path | None = None) -> None:
        self.database = Database(data)
        self.scenes: defaultdict[tuple[str, str], Scene] = defaultdict(Scene)
        self.sessions: dict[str, Session] = {}
        self.storage = Storage()
        self._queries = AsyncQueries(self.database)
        self._control = Control(self)
        self._answers: dict[str, Callable[[_Request, Any], dict[str, Any]]] = {
            LOGIN: self._login,
            RENEW: self._renew,
            SESSION: self._logout_or_heartbeat,
            HEARTBEAT: self._logout_or_heartbeat,
            ABORT: self._abort,
            TELEMETRY: lambda request, body: _ok(None),
        }
        fakesnow_server.shared_fs = self.database.fakesnow

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = _Request(scope, receive, send)
        path: str = scope["path"]
        try:
            if path.startswith(self._control.prefix):
                await request.reply(
                    *self._control.handle(scope["method"], path, await request.json())
                )
            elif path.startswith(storage.PREFIX):
                await self._send_rows(request)
            elif path == QUERY:
                await self._query(request)
            elif path in self._answers:
                await self._answer_or_fault(request)
            elif path.startswith(("/monitoring/queries/", "/queries/")):
                found = await self._queries.answer(path, self._session(request))
                await request.reply(200, found)
            else:
                await fakesnow_server.app(scope, receive, send)
        except SnowflakeError as error:
            await request.reply(error.status, answers.failure(error))
        except _ClientGone:
            pass

    def end(self, session: Session) -> None:
        """End a session."""
        self.sessions = {token: s for token, s in self.sessions.items() if s is not session}
        fakesnow_server.sessions.pop(session.token, None)
        self.database.end(session)

    async def _send_rows(self, request: _Request) -> None:
        """Answer the request for rows in the cloud's storage, or never."""
        rows = self.storage.get(request.path)
        if rows is None:
            await request.never_answer()
        else:
            await request.send_content(200, rows, b"application/octet-stream")

    async def _answer_or_fault(self, request: _Request) -> None:
        body = await request.json()
        if request.path == LOGIN:
            scene = self._scene_of(request)
            fault = scene.faults.next({"login"}, "", request.id, request.is_repeated)
            if fault is not None:
                await self._send_fault(request, fault, None)
                return
        await request.reply(200, self._answers[request.path](request, body))

    async def _query(self, request: _Request) -> None:
        session = self._session(request)
        body = await request.json()
        text: str = body["sqlText"]
        bindings: dict[str, Any] = body.get("bindings") or {}
        if body.get("describeOnly"):
            await fakesnow_server.app(request.scope, request.receive_again, request.send)
            return
        if any(isinstance(binding["value"], list) for binding in bindings.values()):
            raise errors.not_provided("arrays of values, which executemany sends")
        on = kinds(text)
        fault = session.scene.faults.next(on, text, request.id, request.is_repeated)
        if fault is not None and not fault.lets_run:
            _log_fault(session, text, fault)
            await self._send_fault(request, fault, session)
            return
        is_async = bool(body.get("asyncExec"))
        answer = session.answers.get(request.id)
        if answer is None:
            if "rollback" in on:
                self.database.cancel(session)
            values = [_value(bindings[str(n)]) for n in range(1, len(bindings) + 1)]
            query_id = str(uuid.uuid4())
            answer = asyncio.create_task(self._run(session, text, values, fault, query_id))
            session.keep(request.id, answer)
            if is_async:
                self._queries.add(query_id, session, answer)
                session.query_ids[request.id] = query_id
        if is_async:
            found = asynchronous.in_progress(session.query_ids[request.id])
        else:
            found = await self._wait(request, session, answer)
        if fault is None:
            await request.reply(200, found)
        elif fault.kind == "break":
            await request.break_off(found)
        else:
            await self._send_fault(request, fault, session)

    async def _wait(
        self, request: _Request, session: Session, answer: asyncio.Task[dict[str, Any]]
    ) -> dict[str, Any]:
        """Wait for the answer to a request. If its client goes away, the statement goes on, unless
        the session asks for the contrary."""
        if not session.aborts_detached:
            return await asyncio.shield(answer)
        session.attached[request.id] += 1
        gone = asyncio.create_task(request.never_answer())
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        session.attached[request.id] -= 1
        if answer.done():
            gone.cancel()
            return answer.result()

        def abort() -> None:
            if not answer.done() and not session.attached[request.id]:
                self.database.cancel(session)

        asyncio.get_running_loop().call_later(session.scene.detached_abort, abort)
        raise _ClientGone

    async def _run(
        self, session: Session, text: str, values: list[Any], fault: Fault | None, query_id: str
    ) -> dict[str, Any]:
        async with session.request:
            await _half_a_request(session)
            try:
                entry, result = await self.database.run(session, text, values, query_id=query_id)
            except SnowflakeError as error:
                return answers.failure(error)
            finally:
                await _half_a_request(session)
            if fault is not None:
                entry.fault = fault.kind
            connection = session.connection
            where = connection.database, connection.schema
            answer = answers.success(result, entry.query_id, *where)
            return self._with_storage(session, answer)

    def _with_storage(self, session: Session, answer: dict[str, Any]) -> dict[str, Any]:
        """The answer, with its rows at a URL if they are many."""
        scene = session.scene
        rows = b64decode(answer["data"].get("rowsetBase64", ""))
        if scene.storage == "inline" or len(rows) <= scene.most_inline:
            return answer
        return moved(answer, rows, self.storage.keep(rows, scene.storage, session.host))

    async def _send_fault(self, request: _Request, fault: Fault, session: Session | None) -> None:
        if fault.kind in ("reset", "drop", "break"):
            await request.hang_up()
        elif fault.kind == "hang":
            await request.never_answer()
        elif fault.kind == "status":
            await request.reply(fault.status, None)
        else:
            if session is not None and fault.error in ENDS_SESSION:
                self.end(session)
            error = fault.as_error()
            await request.reply(error.status, answers.failure(error))

    def _login(self, request: _Request, body: Any) -> dict[str, Any]:
        data, query = body["data"], request.query
        parameters = {
            str(name).upper(): str(value)
            for name, value in (data.get("SESSION_PARAMETERS") or {}).items()
        }
        session = Session(
            self.database.connect(query.get("databaseName"), query.get("schemaName")),
            self._scene_of(request),
            user=str(data.get("LOGIN_NAME", "")).upper(),
            account=str(data.get("ACCOUNT_NAME", "")).upper(),
            role=query.get("roleName", "PUBLIC").upper(),
            warehouse=query["warehouse"].upper() if "warehouse" in query else None,
            parameters=parameters,
            host=request.host,
        )
        self.sessions[session.token] = session
        fakesnow_server.sessions[session.token] = session.connection
        return _ok(
            {
                "token": session.token,
                "masterToken": session.master_token,
                "validityInSeconds": _SECONDS_VALID,
                "masterValidityInSeconds": 4 * _SECONDS_VALID,
                "sessionId": session.id,
                "displayUserName": session.user,
                "serverVersion": SERVER_VERSION,
                "parameters": [
                    {"name": "AUTOCOMMIT", "value": session.autocommit},
                    {"name": "TIMEZONE", "value": "Etc/UTC"},
                    {"name": "CLIENT_TELEMETRY_ENABLED", "value": False},
                    {"name": "CLIENT_SESSION_KEEP_ALIVE_HEARTBEAT_FREQUENCY", "value": 3600},
                    {"name": "CLIENT_STAGE_ARRAY_BINDING_THRESHOLD", "value": 0},
                ],
                "sessionInfo": {
                    "databaseName": session.connection.database,
                    "schemaName": session.connection.schema,
                    "warehouseName": session.warehouse,
                    "roleName": session.role,
                },
            }
        )

    def _renew(self, request: _Request, body: Any) -> dict[str, Any]:
        for session in self.sessions.values():
            if request.token in (session.master_token, session.token):
                return _ok(
                    {
                        "sessionToken": session.token,
                        "masterToken": session.master_token,
                        "validityInSecondsST": _SECONDS_VALID,
                        "validityInSecondsMT": 4 * _SECONDS_VALID,
                        "sessionId": session.id,
                    }
                )
        raise errors.must_sign_in_again()

    def _logout_or_heartbeat(self, request: _Request, body: Any) -> dict[str, Any]:
        session = self._session(request)
        if request.query.get("delete"):
            self.end(session)
        return _ok(None)

    def _abort(self, request: _Request, body: Any) -> dict[str, Any]:
        session = self._session(request)
        answer = session.answers.get((body or {}).get("requestId", ""))
        if answer is not None and not answer.done():
            self.database.cancel(session)
        return _ok(None)

    def _session(self, request: _Request) -> Session:
        session = self.sessions.get(request.token)
        if session is None:
            raise errors.session_gone()
        return session

    def _scene_of(self, request: _Request) -> Scene:
        names = (request.query.get(name, "") for name in ("databaseName", "schemaName"))
        database, schema = (name.strip('"').upper() for name in names)
        return self.scenes[database, schema]


class _ClientGone(Exception):
    """The client closed the connection before it had sent the whole request."""


class _Request:
    """One request, and the ways to answer it or not to."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.path: str = scope["path"]
        self.query = dict(parse_qsl(scope["query_string"].decode()))
        self.id = self.query.get("requestId", "")
        self.is_repeated = self.query.get("retryCount", "0") != "0"
        self.send = send
        self._receive = receive
        self._raw = b""
        self._headers = dict(scope["headers"])

    @property
    def token(self) -> str:
        found: str = self._headers.get(b"authorization", b"").decode()
        return found.removeprefix('Snowflake Token="').removesuffix('"')

    async def json(self) -> Any:
        """Read the body."""
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise _ClientGone
            self._raw += message.get("body", b"")
            more = message.get("more_body", False)
        packed = self._headers.get(b"content-encoding") == b"gzip"
        body = gzip.decompress(self._raw) if packed else self._raw
        return json.loads(body) if body else None

    async def receive_again(self) -> Message:
        """Return the body again, for fakesnow's application."""
        return {"type": "http.request", "body": self._raw, "more_body": False}

    @property
    def host(self) -> str:
        """The server's host and port, as the client names them."""
        found: str = self._headers[b"host"].decode()
        return found

    async def reply(self, status: int, content: Any) -> None:
        await self.send_content(status, json.dumps(content).encode(), b"application/json")

    async def send_content(self, status: int, body: bytes, kind: bytes) -> None:
        await self._begin_reply(status, len(body), kind)
        await self.send({"type": "http.response.body", "body": body})

    async def break_off(self, content: Any) -> None:
        """Close the connection when half of the answer has been sent."""
        body = json.dumps(content).encode()
        await self._begin_reply(200, len(body))
        half = body[: len(body) // 2]
        await self.send({"type": "http.response.body", "body": half, "more_body": True})
        self.send.__self__.transport.close()  # type: ignore[attr-defined]
        await self.never_answer()

    async def _begin_reply(
        self, status: int, length: int, kind: bytes = b"application/json"
    ) -> None:
        headers = [
            (b"content-type", kind),
            (b"content-length", str(length).encode()),
        ]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def hang_up(self) -> None:
        """Close the connection without an answer. ASGI cannot do that, so it uses the object of
        uvicorn's that ``send`` is bound to."""
        self.send.__self__.transport.abort()  # type: ignore[attr-defined]
        await self.never_answer()

    async def never_answer(self) -> None:
        """Wait until the client goes away."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def _half_a_request(session: Session) -> None:
    """Wait for the time that a request takes before or after the server's part."""
    seconds = session.scene.seconds("request") / 2
    if seconds:
        await asyncio.sleep(seconds)


def _value(binding: dict[str, Any]) -> Any:
    if binding["value"] is None:
        return None
    return float(binding["value"]) if binding["type"] == "REAL" else from_binding(binding)


def _log_fault(session: Session, text: str, fault: Fault) -> None:
    """Log a statement that is not run."""
    now = time.time()
    entry = Entry(text, first_word(text), session.id, session.query_tag, session.user, now)
    entry.ended, entry.fault = now, fault.kind
    session.scene.log.append(entry)


def _ok(data: Any) -> dict[str, Any]:
    return {"data": data, "code": None, "message": None, "success": True}
