"""Connection, an HTTP/1.1 connection with time and size limits, closed without losing answers."""

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
_errors.setLevel(logging.ERROR)  # a malformed request is the client's fault: no warning

CLIENT_IS_DONE: Final = "client_is_done"
"""The key of an event in a request's ``scope["state"]``: the client has closed its side. It may be
gone, or still wait for the answer; a server cannot tell."""

ANSWER_MUST_END: Final = "answer_must_end"
"""The key of an event in ``scope["state"]``: the client has closed its side, or the server stops.
An answer that goes on for as long as its client listens ends then."""


@dataclass(frozen=True)
class Limits:
    """The limits of a server's connections. All times are in seconds.

    - ``connections``: the most that are open at once.
    - ``head``: until a request line and its headers have arrived.
    - ``body``: until the request's body has arrived.
    - ``response``: during which the client reads nothing of an answer.
    - ``discard``, ``discard_bytes``: how long and how much of a body is read and discarded after
      the answer was sent, so that the client gets to read the answer.
    - ``chunked_bytes``: of a chunked body including its framing, because a chunk of one byte costs
      as much to parse as one of thousands.
    - ``stop``: for answering open requests when the server stops.
    - ``interval``: between two checks of these limits, and before a failed accept is repeated.
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
    """Uvicorn's HTTP/1.1 protocol with ``limits`` enforced."""

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
        self._client_is_done = asyncio.Event()
        self._answer_must_end = asyncio.Event()
        self._discard_left: int | None = None
        self._stage: tuple[object, ...] = ()
        self._counted: object = None  # the request whose bytes ``_received`` counts
        self._received = 0
        self.waiting_since = loop.time()

    @property
    def is_waiting(self) -> bool:
        """Whether the connection waits for its client, not for the app."""
        return self._stage_and_limit()[1] < inf

    def check(self, now: float) -> None:
        """Drop the connection if it has waited for its client longer than the limit."""
        stage, limit = self._stage_and_limit()
        if stage != self._stage:
            self._stage, self.waiting_since = stage, now
        elif now - self.waiting_since > limit:
            self.drop()

    def drop(self) -> None:
        """Close at once, discarding what has not been read or written."""
        self._client.abort()

    def finish(self) -> None:
        """Close after the answer is sent; first read the rest of what the client is sending.

        Closing a connection with unread data resets it, and a client that sends its whole request
        before it reads would lose the answer.
        """
        if self._closing:
            return
        self._closing = True
        state = self.conn.their_state
        is_sending = state in (h11.SEND_BODY, h11.ERROR)
        has_sent_more = state is not h11.IDLE and self.conn.trailing_data[0]
        if self._client_is_done.is_set() or not (is_sending or has_sent_more):
            self._client.close()
            return
        self._discard_left = self._limits.discard_bytes
        if self._client.can_write_eof():  # TLS cannot
            self._client.write_eof()
        self._client.resume_reading()

    @property
    def is_closing(self) -> bool:
        """Whether the connection reads no further request."""
        return self._closing or self._client.is_closing()

    # Callbacks of asyncio and Uvicorn

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
        """Keep the connection open if the client has sent a whole request and closed its side,
        which TLS does not allow."""
        self._client_is_done.set()
        self._answer_must_end.set()
        if self._closing or not self._client.can_write_eof():
            return False
        if self.conn.their_state not in (h11.DONE, h11.MUST_CLOSE):
            return False
        self.cycle.keep_alive = False
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._client_is_done.set()
        self._answer_must_end.set()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        self._answer_must_end.set()
        if self._closing:
            return
        if self._stage_and_limit()[0][0] in ("head", "body"):
            self.drop()  # no whole request has arrived
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
        """Call the app, and close the connection after an answer sent before the request's end.

        It is also closed after a request with both Content-Length and Transfer-Encoding, because a
        proxy in front may disagree about where that request ends.
        """
        scope["state"][CLIENT_IS_DONE] = self._client_is_done
        scope["state"][ANSWER_MUST_END] = self._answer_must_end
        names = {name for name, _ in scope["headers"]}
        has_two_lengths = {b"content-length", b"transfer-encoding"} <= names

        async def receive_limited() -> Message:
            message = await receive()
            if self._received > self._limits.chunked_bytes:
                raise HTTPException(
                    413, "the chunks of the body are too small; send larger ones, or Content-Length"
                )
            return message

        has_answer = False

        async def send_and_close(message: Message) -> None:
            nonlocal has_answer
            has_answer = True
            is_head = message["type"] == "http.response.start"
            if is_head and (has_two_lengths or self.conn.their_state is h11.SEND_BODY):
                message = {**message, "headers": [*message["headers"], CLOSE_HEADER]}
            await send(message)

        try:
            await self._answer(scope, receive_limited, send_and_close)
        except asyncio.CancelledError:
            if has_answer:
                self.drop()
            else:
                stopped = JSONResponse({"detail": "the pod has stopped"}, 503)
                await stopped(scope, receive, send_and_close)

    def _stage_and_limit(self) -> tuple[tuple[object, ...], float]:
        """Return what the connection waits for, and the most seconds that it may."""
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
    """The transport as Uvicorn sees it; ``close`` calls :meth:`Connection.finish`."""

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
