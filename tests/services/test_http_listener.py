"""The addresses that ``fleet-q serve`` listens on, the hosts it accepts, and its warning."""

from __future__ import annotations

import contextlib
import logging
import socket
from typing import Any

import msgspec
import pytest

from fleet_q import FleetQ
from fleet_q.core.errors import InvalidInput
from fleet_q.services.app.hosts import LOOPBACK
from fleet_q.services.cli.serving import serving
from fleet_q.services.http.api import create_http
from fleet_q.services.http.listener import default_hosts, is_loopback, listen
from fleet_q.services.worker.careful_log import wait_for_handlers
from tests.services.conftest import QUICK
from tests.waiting import LIMIT


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", pytest.param("::1", marks=needs_ipv6)])
def test_loopback_addresses_and_names_are_listened_on(host: str) -> None:
    with listen(host, 0) as listener, socket.create_connection(listener.getsockname()[:2], LIMIT):
        assert is_loopback(listener)
        assert set(default_hosts(listener, host)) >= set(LOOPBACK)


@pytest.mark.parametrize("host", ["0.0.0.0", pytest.param("::", marks=needs_ipv6)])
def test_listening_on_all_addresses_accepts_any_host(host: str) -> None:
    with listen(host, 0) as listener:
        with socket.create_connection(("127.0.0.1", listener.getsockname()[1]), LIMIT):
            pass
        assert not is_loopback(listener)
        assert default_hosts(listener, host) == ("*",)


@pytest.mark.parametrize("host", ["x" * 300, "192.0.2.1"])
def test_address_that_cannot_be_listened_on_is_an_error_of_one_line(host: str) -> None:
    with pytest.raises(InvalidInput, match=r"cannot listen on .*choose another") as refused:
        listen(host, 0)
    assert "\n" not in str(refused.value)


def test_port_in_use_is_an_error() -> None:
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(InvalidInput, match="in use; choose another"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "api_keys", "warned"),
    [("0.0.0.0", (), True), ("0.0.0.0", ("key",), False), ("127.0.0.1", (), False)],
)
def test_serving_beyond_loopback_without_keys_warns(
    caplog: pytest.LogCaptureFixture,
    host: str,
    api_keys: tuple[Any, ...] | tuple[str, ...],
    warned: bool,
) -> None:
    settings = msgspec.structs.replace(QUICK, api_keys=api_keys)
    app = FleetQ("memory://", settings=settings)
    with (
        caplog.at_level(logging.WARNING),
        listen(host, 0) as listener,
        serving(
            lambda hosts: create_http(app, allowed_hosts=hosts),
            settings,
            host,
            listener,
            exposed="submit steps",
        ),
    ):
        assert wait_for_handlers(LIMIT)
    warnings = [record.getMessage() for record in caplog.records]
    assert ["set FLEET_Q_API_KEYS" in warning for warning in warnings] == [True] * warned
