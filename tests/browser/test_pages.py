"""Every page of the dashboard, now and as it was: in dark and light, at three widths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import expect
from starlette.types import ASGIApp

from fleet_q import FleetQ
from fleet_q.services.http.api import create_http
from tests.browser.chromium import looks
from tests.browser.conftest import Visits
from tests.browser.fleet import settings, tell

END: Final = "at=2026-11-28T13:59:59Z"
"""When the fleet has told its story: its pods ran nothing since."""

LATER: Final = {"running-step", "change-steps", "lanes", "dead-pod"}
"""The pages of what was not there yet in the past, or of another time."""

PAGES: Final = {
    "overview": "./",
    "steps": "dashboard/steps",
    "failed-step": "dashboard/step?id=mail-1",
    "running-step": "dashboard/step?id=long-1",
    "waiting-step": "dashboard/step?id=report",
    "change-steps": "dashboard/change-steps?what=cancel&status=pending",
    "queues": "dashboard/queues",
    "queue": "dashboard/queue?name=mail",
    "workflows": "dashboard/workflows",
    "workflow": "dashboard/workflow?id=nightly-1",
    "large-workflow": "dashboard/workflow?id=report-1",
    "schedules": "dashboard/schedules",
    "schedule": "dashboard/schedule?name=hourly",
    "pods": "dashboard/pods",
    "pod": "dashboard/pod?id=pod-b",
    "lanes": f"dashboard/pods?window=6h&{END}",
    "dead-pod": f"dashboard/pod?id=pod-b&window=6h&{END}",
}


@pytest.fixture(scope="module")
def url(serve: Callable[[ASGIApp], str]) -> str:
    return serve(create_http(tell().app, dashboard=True))


@pytest.mark.parametrize("name", PAGES)
def test_page_can_be_read_by_everybody(
    url: str, visits: Visits, name: str, pictures: Path | None
) -> None:
    with visits(url) as visit:
        visit.page.goto(PAGES[name])
        assert looks(visit.page, pictures, name) == []


@pytest.mark.parametrize("name", sorted(PAGES.keys() - LATER))
def test_page_shows_the_past(url: str, visits: Visits, name: str, pictures: Path | None) -> None:
    path = PAGES[name]
    with visits(url) as visit:
        page = visit.page
        page.goto(f"{path}{'&' if '?' in path else '?'}at=2026-11-28T13:00:00Z")
        expect(page.get_by_role("link", name="Back to now")).to_be_visible()
        assert page.locator("main form[method=post] button").count() == 0
        if pictures is not None:
            looks(page, pictures, f"past-{name}")


def test_sign_in_can_be_read_by_everybody(
    serve: Callable[[ASGIApp], str], visits: Visits, pictures: Path | None
) -> None:
    locked = FleetQ(tell().store, settings=settings(api_keys=("ops=admin:secret-0123456",)))
    with visits(serve(create_http(locked, dashboard=True))) as visit:
        visit.page.goto("dashboard/queues")
        visit.page.get_by_label("Key").fill("wrong")
        visit.page.get_by_role("button", name="Sign in").click()
        expect(visit.page.get_by_role("alert")).to_be_visible()
        assert looks(visit.page, pictures, "sign-in") == []
        visit.expect_fault("401")
