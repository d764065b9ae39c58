"""The slider, live pages, the keyboard and the phone."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect
from starlette.types import ASGIApp

from fleet_q.services.http.api import create_http
from tests.browser.chromium import WIDTHS
from tests.browser.conftest import Visits
from tests.browser.fleet import Story, tell


@pytest.fixture(scope="module")
def story() -> Story:
    return tell()


@pytest.fixture(scope="module")
def url(story: Story, serve: Callable[[ASGIApp], str]) -> str:
    return serve(create_http(story.app, dashboard=True))


def test_slider_moves_the_page_through_time(url: str, visits: Visits) -> None:
    with visits(url) as visit:
        page = visit.page
        page.goto("dashboard/workflow?id=nightly-1")
        slider = page.get_by_role("slider", name="Time")
        expect(page.locator("#workflow")).to_contain_text("failed")
        # 12:23: the first step has ended, the loads run.
        slider.fill("1795868580")
        expect(page.locator("#workflow")).to_contain_text("running")
        expect(page.locator("#workflow")).to_contain_text("1 waiting, 3 claimed, 1 completed")
        expect(page).to_have_url(re.compile(r"at=2026-11-28T12%3A23%3A00Z"))
        expect(page.get_by_role("button", name="Retry failed steps")).to_have_count(0)
        page.get_by_role("link", name="Back to now").click()
        expect(page.get_by_role("button", name="Retry failed steps")).to_be_visible()


def test_links_keep_the_time(url: str, visits: Visits) -> None:
    with visits(url) as visit:
        page = visit.page
        page.goto("dashboard/queues?at=2026-11-28T13:00:00Z")
        page.get_by_role("link", name="api", exact=True).click()
        expect(page.get_by_role("heading", name="Queue api")).to_be_visible()
        expect(page).to_have_url(re.compile("at=2026-11-28T13%3A00%3A00Z"))


def test_page_of_a_time_is_not_changed_by_what_happens_now(url: str, visits: Visits) -> None:
    with visits(url) as visit:
        visit.page.goto("dashboard/queue?name=mail&at=2026-11-28T13:30:00Z")
        expect(visit.page.get_by_text("Its limits were never changed")).to_be_visible()


def test_pod_that_died_held_its_step_until_then(url: str, visits: Visits) -> None:
    with visits(url) as visit:
        page = visit.page
        page.goto("dashboard/pod?id=pod-b&at=2026-11-28T12:30:00Z")
        expect(page.locator("#pod")).to_contain_text("up")
        expect(page.locator("#held").get_by_role("link", name="import-2")).to_be_visible()
        page.goto("dashboard/pod?id=pod-b&window=6h&at=2026-11-28T13:59:00Z")
        expect(page.locator("#pod")).to_contain_text("dead")
        expect(page.locator("#attempts")).to_contain_text("recovered")


def test_open_page_shows_a_change_that_another_makes(
    story: Story, url: str, visits: Visits
) -> None:
    with visits(url) as visit:
        page = visit.page
        page.goto("dashboard/queues")
        row = page.get_by_role("row").filter(has=page.get_by_role("link", name="gpu", exact=True))
        expect(row.get_by_role("button", name="Pause")).to_be_visible()
        story.app.queues.pause("gpu")
        expect(row.get_by_text("paused")).to_be_visible()
        expect(row.get_by_role("button", name="Resume")).to_be_visible()


def test_keys_lead_through_pages_and_rows(url: str, visits: Visits) -> None:
    with visits(url) as visit:
        page = visit.page
        page.goto("dashboard/queues")
        page.keyboard.press("j")
        page.keyboard.press("j")
        expect(page.get_by_role("link", name="default", exact=True)).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Queue default")).to_be_visible()
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()


def test_boxes_of_a_graph_are_reached_by_the_keyboard(url: str, visits: Visits) -> None:
    with visits(url) as visit:
        page = visit.page
        page.goto("dashboard/workflow?id=nightly-1")
        box = page.locator(".graph a").first
        box.focus()
        expect(box).to_be_focused()
        expect(box).to_have_accessible_name("extract: completed (extract)")


def test_phone_reaches_every_page(url: str, visits: Visits) -> None:
    width, height = WIDTHS["phone"]
    size = {"width": width, "height": height}
    with visits(url, viewport=size, has_touch=True, is_mobile=True) as visit:
        page = visit.page
        page.goto("./")
        titles = page.locator("#navigation a").all_inner_texts()
        for title in titles:
            page.locator("#navigation").get_by_role("link", name=title).tap()
            expect(page.locator("#navigation [aria-current]")).to_have_text(title)
