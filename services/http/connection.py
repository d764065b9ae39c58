"""One client's connection: how long the pod waits for its client, and how it is closed."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from math import inf
from typing import Any, Final

import h11
import uvicorn
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from fleet_q.services.worker.careful_log import CarefulLogger

log = CarefulLogger("fleet_q.http")

_errors: Final = logging.getLogger("fleet_q.http.errors")
_errors.setLevel(logging.ERROR)  # a client's malformed request is no warning about the pod


@dataclass(frozen=True)
class Limits:
    """How many connections there may be, and for how many seconds a client may keep one waiting.

    ``head``: until a request's line and headers are there. ``body``: until its body is.
    ``response``: without taking any of an answer. ``discard`` and ``discard_bytes``: of a body
    that is still sent after its answer, read so that the client comes to read the answer.
    ``stop``: to answer what has been asked, when the server stops.
    ``chunked_bytes``: of a body in chunks, with what frames them; a chunk of one byte is as much
    work as one of thousands. ``interval``: between two checks of all that, and before what failed
    is tried again.
    """

    connections: int = 1_000
    head: float = 10.0
    body: float = 30.0
    response: float = 30.0
    discard: float = 30.0
    discard_bytes: int = 64 * 1024 * 1024
    chunked_bytes: int = 4 * 1024 * 1024
    stop: int = 3
    interval: float = 1.0


class Connection(H11Protocol):
    """Uvicorn's protocol, bounded by ``limits``."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
    ) -> None:
        super().__init__(config, server_state, {}, loop)
        self.logger = _errors
        self._answer = self.app
        self.app = self._answer_and_close
        self._limits = limits
        self._client: asyncio.Transport
        self._closing = False
        self._client_is_done = False
        self._discard_left: int | None = None
        self._stage: tuple[object, ...] = ()
        self._counted: object = None  # the request whose bytes are counted, and their number
        self._received = 0
        self.waiting_since = loop.time()

    @property
    def is_waiting(self) -> bool:
        """Whether the next move is the client's."""
        return self._stage_and_limit()[1] < inf

    def check(self, now: float) -> None:
        """Drop the connection if its client has kept it waiting for too long by ``now``."""
        stage, limit = self._stage_and_limit()
        if stage != self._stage:
            self._stage, self.waiting_since = stage, now
        elif now - self.waiting_since > limit:
            self.drop()

    def drop(self) -> None:
        """Close at once, whatever has not been read or written."""
        self._client.abort()

    def finish(self) -> None:
        """Close once the answer is sent and, if the client is still sending, what comes is read.

        A connection that is closed with data unread is reset, and the reset takes the answer from
        a client that sends all of its request before it reads.
        """
        if self._closing:
            return
        self._closing = True
        state = self.conn.their_state
        is_sending = state in (h11.SEND_BODY, h11.ERROR)
        has_sent_more = state is not h11.IDLE and self.conn.trailing_data[0]
        if self._client_is_done or not (is_sending or has_sent_more):
            self._client.close()
            return
        self._discard_left = self._limits.discard_bytes
        self._client.write_eof()
        self._client.resume_reading()

    @property
    def is_closing(self) -> bool:
        """Whether no more requests are read."""
        return self._closing or self._client.is_closing()

    # What asyncio and Uvicorn call

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._client = transport
        super().connection_made(_Transport(self, transport))
        self._stage = self._stage_and_limit()[0]

    def data_received(self, data: bytes) -> None:
        if self._discard_left is None:
            super().data_received(data)
            if self.cycle is not self._counted:
                self._counted, self._received = self.cycle, 0
            self._received += len(data)
            return
        self._discard_left -= len(data)
        if self._discard_left < 0:
            self.drop()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer a client that has sent its request and closed its side; else close."""
        self._client_is_done = True
        if self._closing or self.conn.their_state not in (h11.DONE, h11.MUST_CLOSE):
            return False
        self.cycle.keep_alive = False
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        super().connection_lost(exc)

    def shutdown(self) -> None:
        if self._closing:
            return
        if self._stage_and_limit()[0][0] in ("head", "body"):
            self.drop()  # nothing has been asked yet
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        log.debug("%s: %s", self.client, msg)
        problem = {"detail": "the request is not HTTP/1.1, or its headers are too large"}
        answer = JSONResponse(problem, 400, {"Connection": "close"})
        head = h11.Response(status_code=400, reason=b"Bad Request", headers=answer.raw_headers)
        for event in (head, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
            self._client.write(self.conn.send(event) or b"")
        self.finish()

    async def _answer_and_close(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app; an answer that comes before the request's end is the connection's last.

        So is that to a request with a length and chunks too: a proxy in front may have taken its
        end to be elsewhere.
        """
        names = {name for name, _ in scope["headers"]}
        has_two_ends = {b"content-length", b"transfer-encoding"} <= names

        async def receive_some() -> Message:
            message = await receive()
            if self._received > self._limits.chunked_bytes:
                raise HTTPException(413, "the body has too many bytes in too small chunks")
            return message

        has_answer = False

        async def send_last(message: Message) -> None:
            nonlocal has_answer
            has_answer = True
            is_head = message["type"] == "http.response.start"
            if is_head and (has_two_ends or self.conn.their_state is h11.SEND_BODY):
                message = {**message, "headers": [*message["headers"], CLOSE_HEADER]}
            await send(message)

        try:
            await self._answer(scope, receive_some, send_last)
        except asyncio.CancelledError:
            if has_answer:
                self.drop()
            else:
                stopped = JSONResponse({"detail": "the pod has stopped"}, 503)
                await stopped(scope, receive, send_last)

    def _stage_and_limit(self) -> tuple[tuple[object, ...], float]:
        """What the connection waits for, and for how many seconds at most."""
        if self._discard_left is not None:
            return ("discard",), self._limits.discard
        if unsent := self._client.get_write_buffer_size():
            return ("response", unsent), self._limits.response
        if self.conn.their_state is h11.IDLE:
            return ("head", self.cycle), self._limits.head
        if self.conn.their_state is h11.SEND_BODY:
            return ("body", self.cycle), self._limits.body
        return ("app",), inf


class _Transport(asyncio.Transport):
    """The transport that Uvicorn sees: closing it is left to the connection."""

    def __init__(self, connection: Connection, client: asyncio.Transport) -> None:
        super().__init__()
        self._connection = connection
        self._client = client

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._client.get_extra_info(name, default)

    def write(self, data: Any) -> None:
        self._client.write(data)

    def pause_reading(self) -> None:
        self._client.pause_reading()

    def resume_reading(self) -> None:
        self._client.resume_reading()

    def is_closing(self) -> bool:
        return self._connection.is_closing

    def close(self) -> None:
        self._connection.finish()
