"""The frame of the dashboard: who sees pages, what forms need, how open pages hear of changes."""

from __future__ import annotations

import itertools
import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec.structs import replace
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.testclient import TestClient

from fleet_q import FleetQ
from fleet_q.adapters.memory import MemoryStore
from fleet_q.core.errors import StoreUnavailable
from fleet_q.core.ports import StoreTraits
from fleet_q.core.step import Submit
from fleet_q.services.app.keys import Keys
from fleet_q.services.app.roles import Holder
from fleet_q.services.dashboard.forms import Form
from fleet_q.services.dashboard.live import Changes
from fleet_q.services.dashboard.pages import Done, Pages
from fleet_q.services.dashboard.reads import Reads
from fleet_q.services.dashboard.sessions import SESSION_SECONDS, Sessions
from fleet_q.services.dashboard.visit import Visit
from fleet_q.services.http.api import create_http
from fleet_q.services.http.connection import Limits
from fleet_q.services.http.dashboard import create_dashboard_http
from fleet_q.services.http.server import HttpServer
from tests.conformance.clock import FakeClock
from tests.services.conftest import QUICK
from tests.waiting import LIMIT, wait_until

LOCKED = replace(QUICK, api_keys=("secret",))
HERE = "http://testserver"


@pytest.fixture(scope="module")
def open_page() -> TestClient:
    """A client of a dashboard without keys."""
    return TestClient(create_http(FleetQ("memory://", settings=QUICK), dashboard=True))


@pytest.fixture(scope="module")
def locked_app() -> TestClient:
    return TestClient(create_http(FleetQ("memory://", settings=LOCKED), dashboard=True))


@pytest.fixture
def locked(locked_app: TestClient) -> TestClient:
    """A client, not signed in, of a dashboard with a key."""
    locked_app.cookies.clear()
    return locked_app


def test_pages_allow_no_script_or_style_but_their_own(open_page: TestClient) -> None:
    page = open_page.get("/")
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert not re.search(r"<script>|<style|\sstyle=|\son[a-z]+=", page.text)


def test_page_without_a_session_leads_to_sign_in_and_back(locked: TestClient) -> None:
    page = locked.get("/?at=2h")
    assert (page.status_code, page.url.path) == (200, "/dashboard/sign-in")
    wrong = locked.post("/dashboard/sign-in", data={"key": "other", "back": "?at=2h"})
    assert (wrong.status_code, "No key is spelled like this" in wrong.text) == (401, True)
    right = locked.post("/dashboard/sign-in", data={"key": "secret", "back": "?at=2h"})
    assert str(right.url) == f"{HERE}/?at=2h"
    cookie = right.history[0].headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie


@pytest.mark.parametrize("back", ["//other.example", "https://other.example/", "../x", "a\\b"])
def test_sign_in_leads_to_no_other_site(locked: TestClient, back: str) -> None:
    answer = locked.post(
        "/dashboard/sign-in", data={"key": "secret", "back": back}, follow_redirects=False
    )
    assert answer.headers["Location"] == "../"


def test_session_ends_at_sign_out(locked: TestClient) -> None:
    page = locked.post("/dashboard/sign-in", data={"key": "secret"})
    token = _token(page.text)
    (kept,) = locked.cookies.jar
    assert locked.post("/dashboard/sign-out", data={"token": "x"}).status_code == 403
    assert locked.post("/dashboard/sign-out", data={"token": token}).url.path.endswith("sign-in")
    locked.cookies.jar.set_cookie(kept)
    assert locked.get("/").url.path == "/dashboard/sign-in"


def test_session_ends_when_it_is_not_used() -> None:
    now = [0.0]
    sessions = Sessions(lambda: now[0])
    secret = sessions.begin(Holder("ops", "admin"))
    now[0] += SESSION_SECONDS
    assert sessions.find(secret) is not None
    now[0] += SESSION_SECONDS + 1
    assert sessions.find(secret) is None


def test_key_in_a_header_is_enough_for_a_page(locked: TestClient) -> None:
    assert locked.get("/", headers={"X-API-Key": "secret"}).url.path == "/"


def test_error_of_a_page_is_a_page(open_page: TestClient) -> None:
    page = open_page.get("/?at=yesterday")
    assert (page.status_code, "is no time" in page.text) == (422, True)


def test_page_of_the_past_keeps_its_time_in_links(open_page: TestClient) -> None:
    text = open_page.get("/?at=2026-01-17T12:00:00Z").text
    assert "dashboard/steps?at=2026-01-17T12%3A00%3A00Z&amp;status=failed" in text
    assert "data-changes" not in text


class _OneAction:
    """Pages with one action, which counts how often it was done."""

    def __init__(self, *, read_only: bool = False) -> None:
        self.done = 0
        self.pages = Pages(
            FleetQ("memory://", settings=QUICK), Keys(), lambda _: None, read_only=read_only
        )

        @self.pages.page("", "Start")
        def start(visit: Visit) -> Response:
            return visit.render("error.html", title=str(visit.may_change), text=visit.token)

        @self.pages.action("cancel-steps")
        def act(visit: Visit, form: Form) -> Done:
            self.done += 1
            return Done(f"Done to {form['name']}.")

        self.client = TestClient(Starlette(routes=self.pages.routes))
        self.token = re.findall(r'class="problem">([^<]+)<', self.client.get("/").text)[0]


def test_action_needs_the_token_of_a_page() -> None:
    one = _OneAction()
    assert one.client.post("/dashboard/cancel-steps", data={"name": "x"}).status_code == 403
    assert (
        one.client.post("/dashboard/cancel-steps", data={"name": "x", "token": "y"}).status_code
        == 403
    )
    assert one.done == 0
    page = one.client.post("/dashboard/cancel-steps", data={"name": "x", "token": one.token})
    assert (one.done, "Done to x." in page.text) == (1, True)


@pytest.mark.parametrize("read_only", [True, False])
def test_nothing_can_be_changed_read_only_or_in_the_past(read_only: bool) -> None:
    one = _OneAction(read_only=read_only)
    address = "/dashboard/cancel-steps" if read_only else "/dashboard/cancel-steps?at=1h"
    answer = one.client.post(address, data={"name": "x", "token": one.token})
    assert (answer.status_code, one.done) == (404 if read_only else 403, 0)
    page = one.client.get("/" if read_only else "/?at=1h")
    assert "<h1>False</h1>" in page.text


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://other.example"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_forms_of_other_sites_are_rejected(open_page: TestClient, headers: dict[str, str]) -> None:
    answer = open_page.post("/dashboard/sign-out", data={"token": "x"}, headers=headers)
    assert (answer.status_code, "another origin" in answer.text) == (403, True)


def test_forms_are_allowed_for_the_dashboard_only(open_page: TestClient) -> None:
    assert open_page.post("/submit", data={"payload": "{}"}).status_code == 415


def test_command_dashboard_has_pages_and_no_api(open_page: TestClient) -> None:
    http = TestClient(create_dashboard_http(FleetQ("memory://", settings=QUICK), ("*",)))
    assert http.get("/").status_code == 200
    assert http.get("/health").json() == {"status": "ok"}
    assert http.get("/steps").status_code == 404


def test_api_has_no_pages_unless_asked_for() -> None:
    assert TestClient(create_http(FleetQ("memory://", settings=QUICK))).get("/").status_code == 404


class FakeStore(MemoryStore):
    """A store in memory that may fail, or cost money."""

    is_down = False
    is_billed = False

    @property
    def traits(self) -> StoreTraits:
        return StoreTraits(writes_are_billed=self.is_billed)

    def change_counter(self) -> int:
        if self.is_down:
            raise StoreUnavailable("down")
        return super().change_counter()


@pytest.fixture
def store() -> FakeStore:
    return FakeStore(FakeClock())


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleet_q.services.dashboard.reads.LOOK_INTERVAL", 0.005)
    monkeypatch.setattr("fleet_q.services.dashboard.live.KEEP_ALIVE", 0.005)


@pytest.mark.usefixtures("quick_looks")
def test_one_thread_looks_for_changes_while_pages_are_open(store: FakeStore) -> None:
    changes = Changes(Reads(FleetQ(store, settings=QUICK)))
    first, second = threading.Event(), threading.Event()
    with changes.telling(first.set), changes.telling(second.set):
        assert first.wait(LIMIT)
        before = changes.seen
        first.clear()
        second.clear()
        store.submit([Submit("step-1", "{}")])
        assert first.wait(LIMIT)
        assert second.wait(LIMIT)
        assert changes.seen != before
        assert sum(thread.name == "fleet-q-changes" for thread in threading.enumerate()) == 1
    wait_until(lambda: not changes.is_looking)


@pytest.mark.usefixtures("quick_looks")
def test_pages_hear_that_the_store_does_not_answer_and_that_it_does_again(
    store: FakeStore,
) -> None:
    changes = Changes(Reads(FleetQ(store, settings=QUICK)))
    with changes.telling(lambda: None):
        wait_until(lambda: changes.seen == "0")
        store.is_down = True
        wait_until(lambda: changes.seen == "unavailable")
        store.is_down = False
        wait_until(lambda: changes.seen == "0")


@pytest.mark.usefixtures("quick_looks")
def test_unexpected_error_does_not_end_the_looks_for_changes(
    store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = Reads(FleetQ(store, settings=QUICK))
    changes = Changes(reads)
    look, errors = reads.look, [RuntimeError("unexpected")]
    monkeypatch.setattr(reads, "look", lambda: look() if not errors else _raise(errors.pop()))
    with changes.telling(lambda: None):
        wait_until(lambda: changes.seen == "0")


def _raise(error: Exception) -> int:
    raise error


def test_reads_that_cost_money_are_repeated_only_after_a_change(store: FakeStore) -> None:
    store.is_billed = True
    now = [0.0]
    reads = Reads(FleetQ(store, settings=QUICK), lambda: now[0])
    numbers = itertools.count(1)

    def read(counter: int) -> int:
        return reads.kept("key", lambda: next(numbers), counter)[0]

    assert [read(1), read(1)] == [1, 1]
    now[0] += QUICK.claim_interval
    assert read(1) == 2  # another session may not have seen at once what was committed
    now[0] += 1_000
    assert [read(1), read(2)] == [2, 3]


def test_pages_that_ask_at_the_same_time_share_one_read(store: FakeStore) -> None:
    reads = Reads(FleetQ(store, settings=QUICK), lambda: 0.0)
    numbers, asked, pages = itertools.count(), list[int](), 8

    def read() -> int:
        wait_until(lambda: len(asked) == pages)
        return next(numbers)

    def ask(page: int) -> int:
        asked.append(page)
        return reads.kept("key", read, 1)[0]

    with ThreadPoolExecutor(pages) as pool:
        assert list(pool.map(ask, range(pages))) == [0] * pages


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, HttpServer]]:
    app = FleetQ("memory://", settings=QUICK)
    listener = socket.create_server(("127.0.0.1", 0))
    server = HttpServer(create_http(app, dashboard=True), listener, Limits(stop=600))
    with listener:
        yield listener.getsockname()[1], server


def test_open_stream_does_not_hold_up_the_end_of_the_server(
    port: tuple[int, HttpServer],
) -> None:
    number, server = port
    with server, socket.create_connection(("127.0.0.1", number)) as client:
        client.sendall(b"GET /dashboard/changes HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = b""
        while b"data: " not in received:
            received += client.recv(4_096)
        assert b"text/event-stream" in received
    assert not server._thread.is_alive()  # it waits up to 600 s for open requests


def _token(page: str) -> str:
    match = re.search(r'name="token" value="([^"]+)"', page)
    assert match is not None
    return match[1]
