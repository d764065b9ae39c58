"""What fails a test in the browser, shown with pages that are wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.browser.chromium import looks
from tests.browser.conftest import Visits

GOOD = '<html lang="en"><title>Good</title><main><h1>Good</h1>%s</main></html>'

PAGES = {
    "/good": GOOD % "",
    "/inline": GOOD % "<script>document.title = 'run'</script>",
    "/throws": GOOD % '<script src="script.js"></script>',
    "/elsewhere": GOOD % '<img src="http://fleet-q.example/a.png" alt="">',
    "/unlabelled": GOOD % "<input>",
    "/wide": GOOD % "<pre>" + 400 * "x" + "</pre>",
    "/script.js": "throw new Error('thrown')",
}


async def site(scope: Scope, receive: Receive, send: Send) -> None:
    body = PAGES.get(scope["path"])
    kind = b"text/javascript" if scope["path"].endswith(".js") else b"text/html"
    headers = [(b"content-type", kind), (b"content-security-policy", b"script-src 'self'")]
    status = 204 if body is None else 200  # Chromium asks for /favicon.ico
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": (body or "").encode()})


@pytest.fixture(scope="module")
def url(serve: Callable[[ASGIApp], str]) -> str:
    return serve(site)


def test_good_page_has_no_faults_and_no_problems(url: str, visits: Visits) -> None:
    with visits(url) as visit:
        visit.page.goto("/good")
        assert looks(visit.page, None, "good") == []


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("/inline", "Content Security Policy"),
        ("/throws", "thrown"),
        ("/elsewhere", "request to another host: http://fleet-q.example/"),
    ],
)
def test_faults_of_pages_are_noticed(url: str, visits: Visits, path: str, fault: str) -> None:
    with visits(url) as visit:
        visit.page.goto(path)
        visit.expect_fault(fault)
        if path == "/elsewhere":
            visit.expect_fault("ERR_NAME_NOT_RESOLVED")


@pytest.mark.parametrize(
    ("path", "problem"), [("/unlabelled", "label (critical)"), ("/wide", "px wide")]
)
def test_problems_of_pages_are_noticed(url: str, visits: Visits, path: str, problem: str) -> None:
    with visits(url) as visit:
        visit.page.goto(path)
        assert any(problem in line for line in looks(visit.page, None, "wrong"))
