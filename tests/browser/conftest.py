"""One browser and one server for the tests of a module, and a visitor for each test."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser
from starlette.types import ASGIApp

from fleet_q.services.http.connection import Limits
from fleet_q.services.http.server import HttpServer
from tests.browser import chromium as browsers

UNHURRIED: Final = Limits(head=9e9, body=9e9, response=9e9, discard=9e9, interval=0.01)

Visits = Callable[..., AbstractContextManager[browsers.Visit]]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium. Tests are skipped where it is not installed, unless it is needed."""
    if browsers.executable() is None:
        if browsers.is_needed():
            pytest.fail(f"{browsers.NO_CHROMIUM}, and {browsers.NEEDED} is set")
        pytest.skip(browsers.NO_CHROMIUM)
    with browsers.chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def serve(browser: Browser) -> Iterator[Callable[[ASGIApp], str]]:
    """Serve apps on loopback until the end of the module; the URL of each."""
    with contextlib.ExitStack() as stack:

        def serve(app: ASGIApp) -> str:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=128))
            stack.enter_context(HttpServer(app, listener, UNHURRIED))
            return f"http://127.0.0.1:{listener.getsockname()[1]}"

        yield serve


@pytest.fixture
def visits(browser: Browser) -> Visits:
    """Make visitors of a site: ``with visits(url) as visit:``."""
    return partial(browsers.visit, browser)


@pytest.fixture(scope="session")
def pictures(request: pytest.FixtureRequest) -> Path | None:
    """Where to keep pictures of pages; ``None``: nowhere."""
    folder = request.config.getoption("--pictures")
    if folder is None:
        return None
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    return path
