"""The frame of pages in the browser: what stays when they change, what works without the script and
below a prefix, and what people do to steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from fastapi import FastAPI
from playwright.sync_api import expect
from starlette.types import ASGIApp

from fleet_q import FleetQ
from fleet_q.services.http.api import create_http
from tests.browser.conftest import Visits
from tests.browser.fleet import settings, tell


@dataclass
class Site:
    """A served dashboard without keys, and its app."""

    url: str
    app: FleetQ


@pytest.fixture(scope="module")
def site(serve: Callable[[ASGIApp], str]) -> Site:
    """The dashboard of a fleet that these tests change."""
    app = FleetQ(tell().store, settings=settings())
    return Site(serve(create_http(app, dashboard=True)), app)


def test_ticks_and_what_is_typed_stay_when_the_page_changes(site: Site, visits: Visits) -> None:
    with visits(site.url) as visit:
        page = visit.page
        page.goto("dashboard/steps?id_prefix=import")
        page.get_by_label("Tick import-1", exact=True).check()
        page.get_by_label("Id begins with").fill("other")
        site.app.submit({}, step_id="import-9")
        expect(page.get_by_role("link", name="import-9")).to_be_visible()
        expect(page.get_by_label("Tick import-1", exact=True)).to_be_checked()
        expect(page.get_by_label("Id begins with")).to_have_value("other")


def test_past_works_without_the_script(site: Site, visits: Visits) -> None:
    with visits(site.url, java_script_enabled=False) as visit:
        page = visit.page
        page.goto("dashboard/steps?status=completed&id_prefix=import")
        page.get_by_label("As of").fill("2026-11-28T12:01:00Z")
        page.get_by_role("button", name="Go").click()
        expect(page.get_by_text("No step matches.")).to_be_visible()
        page.get_by_role("link", name="Back to now").click()
        expect(page.get_by_role("link", name="import-1")).to_be_visible()


def test_keys_can_be_switched_off(site: Site, visits: Visits) -> None:
    with visits(site.url) as visit:
        page = visit.page
        page.goto("dashboard/step?id=import-1")
        page.keyboard.press("?")
        page.get_by_label("Use these keys in this browser").uncheck()
        page.get_by_role("button", name="Close").click()
        page.keyboard.press("1")
        page.keyboard.press("?")
        expect(page.get_by_label("Use these keys in this browser")).not_to_be_checked()
        expect(page.get_by_role("heading", name="import-1")).to_be_visible()


def test_ticked_steps_are_cancelled_after_a_question(site: Site, visits: Visits) -> None:
    for number in range(2):
        site.app.submit({}, step_id=f"ticked-{number}")
    with visits(site.url) as visit:
        page = visit.page
        page.on("dialog", lambda dialog: dialog.accept())
        page.goto("dashboard/steps?id_prefix=ticked")
        page.get_by_label("Tick all on this page").check()
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_text("2 steps cancelled.")).to_be_visible()
        assert site.app.status("ticked-0").status == "cancelled"
        page.get_by_label("cancelled").check()
        page.get_by_role("button", name="Show").click()
        page.get_by_role("link", name="Replay…").click()
        expect(page.get_by_role("heading", name="Replay 2 steps?")).to_be_visible()
        page.get_by_role("button", name="Replay them").click()
        expect(page.get_by_text("2 steps replayed.")).to_be_visible()


def test_step_is_cancelled_and_replayed(site: Site, visits: Visits) -> None:
    site.app.submit({}, step_id="alone")
    with visits(site.url) as visit:
        page = visit.page
        page.on("dialog", lambda dialog: dialog.accept())
        page.goto("dashboard/step?id=alone")
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_text("Step alone is cancelled.")).to_be_visible()
        page.get_by_role("button", name="Replay").click()
        expect(page.get_by_text("Step alone is pending again")).to_be_visible()
        page.get_by_label("Priority").fill("5")
        page.get_by_role("button", name="Set").click()
        expect(page.get_by_text("Step alone has the priority 5.")).to_be_visible()
        assert site.app.status("alone").priority == 5


def test_dashboard_works_below_a_prefix(serve: Callable[[ASGIApp], str], visits: Visits) -> None:
    outer = FastAPI()
    outer.mount("/queue", create_http(tell().app, dashboard=True))
    with visits(f"{serve(outer)}/queue/") as visit:
        page = visit.page
        page.goto("./")
        page.get_by_role("link", name="Steps", exact=True).click()
        page.locator("tbody th a").first.click()
        expect(page.get_by_role("heading", name="Facts")).to_be_visible()
