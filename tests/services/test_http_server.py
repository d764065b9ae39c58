"""The HTTP server with real sockets: slow, greedy, malformed and disconnecting clients."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import http.client
import json
import logging
import os
import re
import resource
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from fleet_q import FleetQ
from fleet_q.services.app.hosts import LOOPBACK
from fleet_q.services.http.api import create_http
from fleet_q.services.http.connection import Limits
from fleet_q.services.http.server import HttpServer, limits_for
from fleet_q.services.worker.careful_log import wait_for_handlers
from tests.services.conftest import QUICK, api_of
from tests.waiting import LIMIT

MOST = 1_000
"""The most bytes of a body in these tests."""

UNHURRIED = Limits(head=9e9, body=9e9, response=9e9, discard=9e9, interval=0.01)
"""Limits without times; a test of one sets it."""

HALF_A_HEAD = b"POST /submit HTTP/1.1\r\nHost: localhost\r\nX-A: "
HALF_A_BODY = (
    b"POST /submit HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 100\r\n\r\n{"
)

Serve = Callable[..., int]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve an app, by default the API of an empty queue, with these limits; yield the port."""
    with contextlib.ExitStack() as stack:

        def serve(app: Any = None, listener: socket.socket | None = None, **limits: Any) -> int:
            if app is None:
                settings = msgspec.structs.replace(QUICK, max_payload_bytes=MOST)
                app = api_of(FleetQ("memory://", settings=settings))
            if listener is None:
                listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
            stack.enter_context(listener)
            stack.enter_context(HttpServer(app, listener, replace(UNHURRIED, **limits)))
            return int(listener.getsockname()[1])

        yield serve


@contextlib.contextmanager
def connected(port: int, *sent: bytes) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as client:
        for data in sent:
            client.sendall(data)
        yield client


def all_of(client: socket.socket) -> bytes:
    """Return everything received until the server closes."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while data := client.recv(65536):
            received += data
    return received


def send_until_cut_off(client: socket.socket, data: bytes, pause: float = 0) -> None:
    """Send the data repeatedly until the server has dropped the connection."""
    with contextlib.suppress(ConnectionError):
        while True:
            client.sendall(data)
            threading.Event().wait(pause)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    assert wait_for_handlers(LIMIT)
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def is_answered(port: int) -> bool:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    client.request("GET", "/admin/queue")
    answered = client.getresponse().status == 200
    client.close()
    return answered


@pytest.mark.parametrize("half", [b"", HALF_A_HEAD, HALF_A_BODY], ids=["none", "head", "body"])
def test_connections_that_wait_for_their_clients_make_room_for_new_ones(
    serve: Serve, half: bytes
) -> None:
    port = serve(connections=8)
    with contextlib.ExitStack() as stack:
        for _ in range(24):
            stack.enter_context(connected(port, half))
        assert is_answered(port)


@pytest.mark.parametrize(
    ("limit", "half"), [("head", b""), ("head", HALF_A_HEAD), ("body", HALF_A_BODY)]
)
def test_incomplete_request_is_dropped_after_its_limit(
    serve: Serve, limit: str, half: bytes
) -> None:
    port = serve(**{limit: 0.05})
    with connected(port, half) as client:
        assert all_of(client) == b""


def test_slow_header_bytes_do_not_extend_the_limit(serve: Serve) -> None:
    port = serve(head=0.05)
    with connected(port, HALF_A_HEAD) as client:
        send_until_cut_off(client, b"a", pause=0.005)


@pytest.mark.parametrize("limits", [{"response": 0.05}, {"connections": 1}], ids=str)
def test_a_client_that_does_not_read_its_answer_is_dropped(
    serve: Serve, limits: dict[str, Any]
) -> None:
    """It is dropped at its limit, or earlier if another connection needs its place."""
    was_dropped = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"%d" % (64 << 20))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope["path"] == "/large":
            await send({"type": "http.response.body", "body": bytes(64 << 20), "more_body": True})
            while (await receive())["type"] != "http.disconnect":
                pass
            was_dropped.set()

    port = serve(app, **limits)
    with connected(port, b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n") as client:
        if "connections" in limits:
            assert client.recv(1)  # the answer has started
            with connected(port):
                assert was_dropped.wait(LIMIT)
        else:
            assert was_dropped.wait(LIMIT)


def test_connection_that_waits_for_the_app_is_not_dropped(serve: Serve) -> None:
    at_work, go_on = threading.Event(), threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/slow":
            at_work.set()
            while not go_on.is_set():
                await asyncio.sleep(0.005)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    port = serve(app, connections=2)
    with connected(port, b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") as slow:
        assert at_work.wait(LIMIT)
        for _ in range(3):
            with connected(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") as quick:
                assert b" 204 " in quick.recv(100)
        go_on.set()
        assert b" 204 " in all_of(slow)


LARGE = b'{"payload": {"a": "' + b"x" * (6 << 20) + b'"}}'
POST = b"POST /submit HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(LARGE), LARGE)
TOO_LARGE = {
    "with its length": b"Content-Length: %d\r\n\r\n%s" % (len(LARGE), LARGE),
    "with its length, then closed": b"Connection: close\r\nContent-Length: %d\r\n\r\n%s"
    % (len(LARGE), LARGE),
    "in chunks": b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "in chunks, then closed": b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "without waiting for 100": b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n%s"
    % (len(LARGE), LARGE),
}


@pytest.mark.parametrize("request_", TOO_LARGE.values(), ids=TOO_LARGE)
def test_a_client_that_sends_all_before_it_reads_can_read_its_413(
    serve: Serve, request_: bytes
) -> None:
    with connected(serve(), POST + request_) as client:
        head, _, body = all_of(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in head.lower()
    assert "1000 bytes" in json.loads(body)["detail"]


def test_urllib_can_read_its_413(serve: Serve) -> None:
    url = f"http://127.0.0.1:{serve()}/submit"
    request = urllib.request.Request(url, LARGE, {"Content-Type": "application/json"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=LIMIT)
    assert "1000 bytes" in json.load(refused.value)["detail"]


def test_a_client_that_waits_for_100_is_told_413_instead(serve: Serve) -> None:
    expect = b"Expect: 100-continue\r\nContent-Length: 9999\r\n\r\n"
    with connected(serve(), POST + expect) as client:
        assert client.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_body_that_continues_after_its_413_is_cut_off(serve: Serve) -> None:
    port = serve(discard_bytes=1 << 20)
    with connected(port, POST + b"Transfer-Encoding: chunked\r\n\r\n") as client:
        send_until_cut_off(client, b"10000\r\n" + b"x" * 65536 + b"\r\n")


def test_a_client_that_neither_reads_on_nor_closes_after_its_413_is_dropped(serve: Serve) -> None:
    port = serve(discard=0.05)
    with connected(port, POST + b"Content-Length: 9999\r\n\r\n{") as client:
        assert all_of(client).startswith(b"HTTP/1.1 413 ")
        send_until_cut_off(client, b"x")


MALFORMED = {
    "TLS": bytes.fromhex("16030100c8010000c40303") + bytes(200),
    "text": b"hello\r\n\r\n",
    "no Host": b"GET /health HTTP/1.1\r\n\r\n",
    "two lengths": POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    "a length that is none": POST + b"Content-Length: -1\r\n\r\n",
    "an unknown encoding": POST + b"Transfer-Encoding: gzip\r\n\r\n{}",
    "a huge header": b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * (1 << 20),
    "a huge line": b"GET /" + b"x" * (1 << 20),
    "control characters": b"GET /\x01 HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("request_", MALFORMED.values(), ids=MALFORMED)
def test_malformed_request_is_answered_with_json_and_not_logged(
    serve: Serve, request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with connected(serve(), request_) as client:
        head, _, body = all_of(client).partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 "))
    assert b"content-type: application/json" in head.lower()
    assert list(json.loads(body)) == ["detail"]
    assert warnings(caplog) == []


def test_a_malformed_chunk_ends_the_connection(serve: Serve) -> None:
    port = serve()
    with connected(port, POST + b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n") as client:
        all_of(client)
    assert is_answered(port)


def test_a_body_in_too_many_tiny_chunks_is_a_413(serve: Serve) -> None:
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in b'{"payload": {"a": "' + b"x" * 400)
    with connected(serve(chunked_bytes=1_000)) as client:
        client.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
        assert all_of(client).startswith(b"HTTP/1.1 413 ")


def test_connection_closes_after_a_request_with_length_and_chunks(serve: Serve) -> None:
    ends = b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b'e\r\n{"payload":{}}\r\n0\r\n\r\n'
    smuggled = b"GET /admin/queue HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connected(serve(), POST + ends + body + smuggled) as client:
        client.shutdown(socket.SHUT_WR)
        assert re.findall(rb"HTTP/1.1 (\d+)", all_of(client)) == [b"200"]


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /admin/queue HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /admin/queue HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /admin/queue HTTP/1.0\r\nHost: localhost\r\n\r\n",
    ],
    ids=["keep-alive", "close", "1.0"],
)
def test_client_that_closes_its_side_after_its_request_is_answered(
    serve: Serve, request_: bytes
) -> None:
    with connected(serve(), request_) as client:
        client.shutdown(socket.SHUT_WR)
        assert b'"pending"' in all_of(client)


def test_pipelined_requests_are_answered_in_order(serve: Serve) -> None:
    get = b"GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n"
    requests = get % (b"/admin/queue", b"") + get % (b"/nowhere", b"")
    with connected(serve(), requests + get % (b"/admin/pods", b"Connection: close\r\n")) as client:
        assert re.findall(rb"HTTP/1.1 (\d+)", all_of(client)) == [b"200", b"404", b"200"]


def test_bytes_of_earlier_requests_do_not_count_toward_a_body(serve: Serve) -> None:
    body = b'{"payload": {"a": "' + b"x" * 300 + b'"}}'
    request = POST + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    half = len(request) - 100
    with connected(serve(chunked_bytes=1_000), request[:half]) as client:
        for _ in range(5):  # every piece ends within a body
            client.sendall(request[half:] + request[:half])
            response = http.client.HTTPResponse(client)
            response.begin()
            assert (response.status, b"submitted" in response.read()) == (200, True)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /admin/queue HTTP/1.0\r\nHost: localhost\r\n\r\n",
        b"GET /admin/queue HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade, close\r\n"
        b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n\r\n",
    ],
    ids=["HTTP/1.0", "WebSocket"],
)
def test_other_versions_and_upgrades_are_answered_plainly(
    serve: Serve, request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with connected(serve(), request_) as client:
        assert b'"pending":0' in all_of(client)
    assert warnings(caplog) == []


def test_only_health_may_be_requested_without_host(serve: Serve) -> None:
    port = serve(create_http(FleetQ("memory://", settings=QUICK), allowed_hosts=LOOPBACK))
    for path, status in ((b"/health", b" 503 "), (b"/admin/queue", b" 400 ")):
        with connected(port, b"GET %s HTTP/1.0\r\n\r\n" % path) as client:
            assert status in all_of(client)


def test_a_client_that_has_closed_its_side_is_answered(serve: Serve) -> None:
    with connected(serve(), b"GET /admin/queue HTTP/1.1\r\nHost: localhost\r\n\r\n") as client:
        client.shutdown(socket.SHUT_WR)
        assert b'"pending":0' in all_of(client)


class _Exhausted(socket.socket):
    """A listener that cannot accept for a while."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.bind(("127.0.0.1", 0))
        self.listen()
        self.failures = 0
        self._error = error

    def accept(self) -> Any:
        if self.failures < 100:
            self.failures += 1
            raise self._error
        return super().accept()


def test_without_descriptors_the_server_waits_and_says_so_once(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    listener = _Exhausted(OSError(errno.EMFILE, "Too many open files"))
    assert is_answered(serve(listener=listener, interval=0.001))
    assert warnings(caplog) == ["no connection can be accepted: [Errno 24] Too many open files"]


def test_client_that_disconnects_before_it_is_accepted_is_skipped(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    assert is_answered(serve(listener=_Exhausted(ConnectionAbortedError())))
    assert warnings(caplog) == []


def test_failed_server_is_started_again(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    listener = _Exhausted(RuntimeError("surprise"))
    listener.failures = 99
    assert is_answered(serve(listener=listener))
    assert "the HTTP server failed; starting it again" in warnings(caplog)


def test_a_log_handler_that_raises_does_not_end_the_server(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Raising(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            raise SystemExit

    monkeypatch.setattr(logging.getLogger("fleet_q.http"), "handlers", [Raising()])
    listener = _Exhausted(RuntimeError("surprise"))
    listener.failures = 99
    assert is_answered(serve(listener=listener))


def test_connections_leave_half_of_the_descriptors_to_everything_else() -> None:
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    limits = limits_for(1_000)
    assert 1 <= limits.connections <= 1_000
    assert descriptors == resource.RLIM_INFINITY or limits.connections <= descriptors // 2


def test_server_stops_although_clients_keep_it_waiting(caplog: pytest.LogCaptureFixture) -> None:
    app = create_http(FleetQ("memory://", settings=QUICK))
    with contextlib.ExitStack() as clients:
        listener = clients.enter_context(socket.create_server(("127.0.0.1", 0)))
        with HttpServer(app, listener, UNHURRIED) as server:
            port = listener.getsockname()[1]
            halves = [b"", HALF_A_HEAD, HALF_A_BODY] * 2
            held = [clients.enter_context(connected(port, half)) for half in halves]
            assert is_answered(port)
        assert not server._thread.is_alive()
        assert [all_of(client) for client in held] == [b""] * len(held)
    assert warnings(caplog) == []


def test_request_not_answered_when_the_server_stops_is_a_503(
    caplog: pytest.LogCaptureFixture,
) -> None:
    at_work = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        at_work.set()
        await asyncio.Event().wait()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        with HttpServer(app, listener, replace(UNHURRIED, stop=0)):
            port = listener.getsockname()[1]
            stuck = socket.create_connection(("127.0.0.1", port), LIMIT)
            stuck.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert at_work.wait(LIMIT)
        with stuck:
            assert b" 503 " in all_of(stuck)
    assert wait_for_handlers(LIMIT)
    assert "Traceback" not in caplog.text


def test_a_forked_child_does_not_keep_the_port() -> None:
    app = create_http(FleetQ("memory://", settings=QUICK))
    release, wait = os.pipe()[::-1]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        with HttpServer(app, listener, UNHURRIED):
            child = os.fork()
            if child == 0:
                os.close(release)
                os.read(wait, 1)
                os._exit(0)
    try:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, LIMIT).close()
    finally:
        os.write(release, b"x")
        os.waitpid(child, 0)
        os.close(release)
        os.close(wait)
