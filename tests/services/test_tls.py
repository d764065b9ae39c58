"""HTTPS: certificates from files, read anew when they change, and certificates of clients."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from fastapi import FastAPI, Request

from fleet_q import Settings
from fleet_q.core.errors import InvalidInput
from fleet_q.services.cli.serving import serving
from fleet_q.services.http.server import HttpServer
from fleet_q.services.http.tls import Tls
from fleet_q.services.worker.careful_log import wait_for_handlers
from tests.services.conftest import QUICK, Command
from tests.services.test_http_server import UNHURRIED
from tests.waiting import LIMIT, wait_until

CA: Final = trustme.CA()
OTHER_CA: Final = trustme.CA()
FILES: Final = ("cert.pem", "key.pem")


def write_pair(folder: Path, issued: trustme.LeafCert) -> Tls:
    """Write a certificate and its key, and make the server's TLS of them."""
    folder.mkdir(exist_ok=True)
    cert, key = (folder / name for name in FILES)
    cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    return Tls(str(cert), str(key))


@contextmanager
def served(tls: Tls, **limits: Any) -> Iterator[int]:
    """Serve on loopback; the port."""
    http = FastAPI()

    @http.get("/")
    def scheme(request: Request) -> str:
        return request.url.scheme

    @http.post("/")
    async def size(request: Request) -> int:
        return len(await request.body())

    with (
        closing(socket.create_server(("127.0.0.1", 0))) as listener,
        HttpServer(http, listener, replace(UNHURRIED, **limits), tls),
    ):
        yield listener.getsockname()[1]


def trusting(ca: trustme.CA = CA, client: trustme.LeafCert | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    if client is not None:
        client.configure_cert(context)
    return context


def get(port: int, context: ssl.SSLContext | None = None) -> str:
    with closing(https(port, context)) as client:
        return answer_of(client)


def https(port: int, context: ssl.SSLContext | None = None) -> HTTPSConnection:
    return HTTPSConnection("localhost", port, timeout=LIMIT, context=context or trusting())


def answer_of(client: HTTPSConnection) -> str:
    client.request("GET", "/")
    return client.getresponse().read().decode()


def serial(client: HTTPSConnection) -> Any:
    """The serial number of the certificate that the server has shown."""
    assert isinstance(client.sock, ssl.SSLSocket)
    return (client.sock.getpeercert() or {})["serialNumber"]


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    return write_pair(tmp_path, CA.issue_cert("localhost"))


def test_requests_are_answered_over_tls(tls: Tls) -> None:
    with served(tls) as port:
        assert get(port) == '"https"'
        with pytest.raises(ssl.SSLCertVerificationError):
            get(port, trusting(OTHER_CA))


def test_new_certificate_is_shown_to_new_connections_and_old_ones_go_on(
    tls: Tls, tmp_path: Path
) -> None:
    with served(tls) as port, closing(https(port)) as old, closing(https(port)) as new:
        answer_of(old)
        before = serial(old)
        write_pair(tmp_path, CA.issue_cert("localhost"))
        assert answer_of(old) == '"https"'
        answer_of(new)
        assert serial(old) == before != serial(new)


def test_half_of_a_new_pair_is_not_used(
    tls: Tls, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    new, key = CA.issue_cert("localhost"), tmp_path / "key.pem"
    with served(tls) as port, closing(https(port)) as first:
        answer_of(first)
        (tmp_path / "cert.pem").write_bytes(new.cert_chain_pems[0].bytes())
        for _ in range(2):
            with closing(https(port)) as client:
                answer_of(client)
                assert serial(client) == serial(first)
        key.unlink()
        assert get(port) == '"https"'
        key.write_bytes(new.private_key_pem.bytes())
        with closing(https(port)) as client:
            answer_of(client)
            assert serial(client) != serial(first)
    assert wait_for_handlers(LIMIT)
    warnings = [r.getMessage() for r in caplog.records if "stays" in r.getMessage()]
    assert len(warnings) == 2
    assert "do not belong together; the certificate that was there before stays" in warnings[0]
    assert "No such file or directory" in warnings[1]


def test_client_needs_a_certificate_that_the_client_ca_has_signed(tls: Tls, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    OTHER_CA.cert_pem.write_to_path(str(ca))
    cert, key = (str(tmp_path / name) for name in FILES)
    strict = Tls(cert, key, str(ca))
    known, unknown = OTHER_CA.issue_cert("worker.example"), CA.issue_cert("worker.example")
    with served(strict) as port:
        assert get(port, trusting(client=known)) == '"https"'
        for client in (None, unknown):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                get(port, trusting(client=client))
        CA.cert_pem.write_to_path(str(ca))
        assert get(port, trusting(client=unknown)) == '"https"'


def test_clients_that_begin_no_handshake_hold_up_nobody(tls: Tls) -> None:
    with served(tls, connections=3) as port, ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert get(port) == '"https"'


def test_handshake_that_takes_too_long_is_ended(tls: Tls) -> None:
    with served(tls, head=0.05) as port, socket.create_connection(("127.0.0.1", port)) as silent:
        silent.settimeout(LIMIT)
        assert silent.recv(1) == b""


def test_request_without_tls_is_closed_and_others_are_answered(tls: Tls) -> None:
    with served(tls) as port:
        with socket.create_connection(("127.0.0.1", port)) as plain:
            plain.settimeout(LIMIT)
            plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert not plain.recv(100).startswith(b"HTTP")
        assert get(port) == '"https"'


def test_answer_before_the_end_of_the_body_arrives(tls: Tls) -> None:
    """The server reads on, so that the client that still sends gets to read the answer."""
    with served(tls) as port, closing(https(port)) as client:
        client.putrequest("GET", "/nowhere")
        client.putheader("Content-Length", str(1_000_000))
        client.endheaders()
        client.send(b"x" * 1_000_000)
        assert client.getresponse().status == 404
    with served(tls) as port, closing(https(port)) as client:
        client.request("POST", "/", body=b"x" * 3_000_000)
        assert client.getresponse().read() == b"3000000"


def encrypted(key: bytes) -> bytes:
    return load_pem_private_key(key, None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hush")
    )


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ("other key", "{cert} and {key} do not belong together"),
        ("swapped", "{cert}: it has no certificate in PEM format"),
        ("no key", "{key}: No such file or directory"),
        ("empty", "{cert}: it has no certificate in PEM format"),
        ("cut", "{cert} and {key} cannot be used: "),
        ("encrypted", "{key}: it is encrypted; store it without a passphrase"),
    ],
)
def test_pair_that_cannot_be_used_is_an_error(
    tls: Tls, tmp_path: Path, wrong: str, problem: str
) -> None:
    cert, key = (tmp_path / name for name in FILES)
    whole, secret = cert.read_bytes(), key.read_bytes()
    match wrong:
        case "other key":
            key.write_bytes(CA.issue_cert("localhost").private_key_pem.bytes())
        case "swapped":
            cert.write_bytes(secret)
            key.write_bytes(whole)
        case "no key":
            key.unlink()
        case "empty":
            cert.write_bytes(b"")
        case "cut":
            cert.write_bytes(whole[: len(whole) // 2])
        case "encrypted":
            key.write_bytes(encrypted(secret))
    with pytest.raises(InvalidInput) as error:
        Tls(str(cert), str(key))
    told = problem.format(cert=f"FLEET_Q_TLS_CERT={cert}", key=f"FLEET_Q_TLS_KEY={key}")
    assert str(error.value).startswith(told)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"tls_cert": "c"}, "FLEET_Q_TLS_CERT and FLEET_Q_TLS_KEY belong together: set both"),
        ({"tls_key": "k"}, "FLEET_Q_TLS_CERT and FLEET_Q_TLS_KEY belong together: set both"),
        ({"tls_client_ca": "a"}, "FLEET_Q_TLS_CLIENT_CA needs FLEET_Q_TLS_CERT"),
    ],
)
def test_settings_that_lack_a_part_are_rejected(settings: dict[str, str], problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        msgspec.structs.replace(QUICK, **settings)


def test_served_api_says_that_it_speaks_https(
    tls: Tls, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cert, key = (str(tmp_path / name) for name in FILES)
    settings = Settings(tls_cert=cert, tls_key=key)
    caplog.set_level(logging.INFO)
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as opened,
        serving(lambda hosts: FastAPI(), settings, "127.0.0.1", opened, exposed="read"),
    ):
        port = opened.getsockname()[1]
        assert "Not Found" in get(port)
        wait_until(lambda: f"listening on https://127.0.0.1:{port}" in caplog.text)


@pytest.mark.parametrize(
    "options", [("--tls-cert", "c", "--tls-key", "k"), ("--tls-cert", "c"), ()]
)
def test_pod_whose_files_cannot_be_used_does_not_join_its_fleet(
    fleet_q: Command, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    monkeypatch.setenv("FLEET_Q_API_KEYS_FILE", "nothing")
    fleet_q("submit", "{}")
    code, _, shown = fleet_q("serve", "--port", "0", *options)
    assert (code, shown.count("\n")) == (1, 1)
    assert shown.startswith("fleet-q: FLEET_Q_")
    assert fleet_q("pods", "--all", "--json")[1].strip() == "[]"
