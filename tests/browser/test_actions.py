"""What people do on the pages: as each role, with and without the script."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final

import pytest
from playwright.sync_api import Page, expect
from starlette.types import ASGIApp, Receive, Scope, Send

from fleet_q import FleetQ
from fleet_q.services.http.api import create_http
from tests.browser.chromium import Visit
from tests.browser.conftest import Visits
from tests.browser.fleet import settings, tell

KEYS: Final = (
    "wall=read:wall-secret-0123", "audit=read+payloads:audit-secret-0123",
    "ci=submit:ci-secret-0123456", "runner=work:runner-secret-0123",
    "ops=admin:ops-secret-012345",
)  # fmt: skip
SECRETS: Final = {key.partition("=")[0]: key.rpartition(":")[2] for key in KEYS}

BUTTONS: Final[dict[str, tuple[set[str], set[str], set[str]]]] = {
    "steps": ({"Show"}, set(), {"Cancel", "Replay", "Set"}),
    "step?id=delayed-1": (set(), {"Cancel"}, {"Set"}),
    "step?id=mail-1": (set(), set(), {"Replay"}),
    "queues": (set(), set(), {"Pause", "Resume"}),
    "queue?name=default": (set(), set(), {"Pause", "Set limits"}),
    "workflow?id=nightly-1": (set(), set(), {"Retry failed steps"}),
    "workflow?id=report-1": (set(), {"Cancel"}, set()),
    "schedules": (set(), {"Fire now"}, {"Pause", "Resume"}),
    "schedule?name=nightly": (set(), {"Fire now"}, {"Pause"}),
}
"""The buttons of pages: those that all see, those that need the role submit, and the role admin."""


@dataclass
class Site:
    """A served dashboard with keys, and its app."""

    url: str
    app: FleetQ


SignIn = Callable[..., AbstractContextManager[Visit]]


@pytest.fixture(scope="module")
def site(serve: Callable[[ASGIApp], str]) -> Site:
    """The dashboard of a fleet that these tests change, each in a place of its own."""
    app = FleetQ(tell().store, settings=settings(api_keys=KEYS))
    return Site(serve(create_http(app, dashboard=True)), app)


@pytest.fixture
def signed_in(site: Site, visits: Visits) -> SignIn:
    """Make visitors who have signed in: ``with signed_in("ops") as visit:``."""

    @contextlib.contextmanager
    def signed_in(name: str, **options: Any) -> Iterator[Visit]:
        with visits(site.url, **options) as visit:
            sign_in(visit.page, SECRETS[name])
            yield visit

    return signed_in


def sign_in(page: Page, secret: str) -> None:
    page.goto("./")
    page.get_by_label("Key").fill(secret)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def buttons(page: Page) -> set[str]:
    return {text.strip() for text in page.locator("main button").all_inner_texts()}


@pytest.mark.parametrize("name", SECRETS)
def test_roles_see_the_buttons_of_what_they_may_do(signed_in: SignIn, name: str) -> None:
    with signed_in(name) as visit:
        for path, (of_all, of_submitters, of_admins) in BUTTONS.items():
            visit.page.goto(f"dashboard/{path}")
            expected = set(of_all)
            if name in ("ci", "runner", "ops"):
                expected |= of_submitters
            if name == "ops":
                expected |= of_admins
            assert buttons(visit.page) == expected, path


@pytest.mark.parametrize("name", ["wall", "ci"])
def test_action_that_a_role_may_not_do_is_rejected(
    site: Site, signed_in: SignIn, name: str
) -> None:
    """As if the page had the button: with the right token, from the right site."""
    with signed_in(name) as visit:
        visit.page.goto("dashboard/queues")
        token = visit.page.locator("input[name=token]").first.get_attribute("value")
        answer = visit.context.request.post(
            f"{site.url}/dashboard/pause-queue",
            form={"token": token or "", "name": "gpu", "back": "queues"},
        )
        assert answer.status == 403
        assert not any(queue.queue == "gpu" for queue in site.app.queues.all())


def test_read_role_sees_no_payloads_and_errors(signed_in: SignIn) -> None:
    with signed_in("wall") as visit:
        for path, secret in (
            ("schedule?name=hourly", "alert("), ("workflow?id=nightly-1", "IntegrityError"),
        ):  # fmt: skip
            visit.page.goto(f"dashboard/{path}")
            assert secret not in visit.page.content()
    with signed_in("audit") as visit:
        visit.page.goto("dashboard/workflow?id=nightly-1")
        expect(visit.page.get_by_text("IntegrityError: duplicate key")).to_be_visible()


def test_signing_out_ends_the_session(signed_in: SignIn) -> None:
    with signed_in("ops") as visit:
        cookies = visit.context.cookies()
        visit.page.get_by_role("button", name="Sign out").click()
        expect(visit.page.get_by_role("button", name="Sign in")).to_be_visible()
        visit.context.add_cookies(cookies)  # type: ignore[arg-type]
        visit.page.goto("dashboard/queues")
        expect(visit.page.get_by_role("heading", name="Sign in")).to_be_visible()


@pytest.mark.parametrize("with_script", [True, False], ids=["script", "no script"])
def test_admin_pauses_and_resumes_queue(
    site: Site, signed_in: SignIn, *, with_script: bool
) -> None:
    with signed_in("ops", java_script_enabled=with_script) as visit:
        page = visit.page
        page.goto("dashboard/queues")
        row = page.get_by_role("row").filter(has=page.get_by_role("link", name="api", exact=True))
        row.get_by_role("button", name="Pause").click()
        expect(page.get_by_text("Queue api is paused")).to_be_visible()
        expect(row.get_by_text("paused")).to_be_visible()
        last = site.app.queues.history("api")[-1]
        assert (last.paused, last.by) == (True, "key:ops")
        row.get_by_role("button", name="Resume").click()
        expect(row.get_by_role("button", name="Pause")).to_be_visible()
        assert not site.app.queues.history("api")[-1].paused


def test_admin_sets_limits_of_queue(site: Site, signed_in: SignIn) -> None:
    with signed_in("ops") as visit:
        page = visit.page
        page.goto("dashboard/queue?name=default")
        page.get_by_label("At once", exact=True).fill("7")
        page.get_by_label("Rate").fill("20/s")
        page.get_by_role("button", name="Set limits").click()
        expect(page.get_by_text("The limits of queue default are set")).to_be_visible()
        limits = next(each for each in site.app.queues.all() if each.queue == "default")
        assert (limits.max_running, limits.max_running_per_key, limits.rate) == (7, None, "20/s")
        page.get_by_label("Rate").fill("often")
        page.get_by_role("button", name="Set limits").click()
        expect(page.get_by_text("rate")).to_be_visible()
        visit.expect_fault("422")


def test_schedule_is_paused_resumed_and_fired(site: Site, signed_in: SignIn) -> None:
    with signed_in("ops") as visit:
        page = visit.page
        page.on("dialog", lambda dialog: dialog.accept())
        page.goto("dashboard/schedule?name=nightly")
        page.get_by_role("button", name="Pause").click()
        expect(page.get_by_text("Schedule nightly is paused")).to_be_visible()
        page.get_by_role("button", name="Resume").click()
        expect(page.get_by_text("Schedule nightly is resumed")).to_be_visible()
        page.get_by_role("button", name="Fire now").click()
        expect(page.get_by_text("Schedule nightly has fired")).to_be_visible()
        fired = next(each for each in site.app.schedules.all() if each.schedule == "nightly")
        assert fired.last_step_id is not None
        expect(page.get_by_role("link", name=fired.last_step_id)).to_be_visible()


def test_question_that_is_declined_changes_nothing(site: Site, signed_in: SignIn) -> None:
    with signed_in("ops") as visit:
        page = visit.page
        page.on("dialog", lambda dialog: dialog.dismiss())
        page.goto("dashboard/workflow?id=report-1")
        page.get_by_role("button", name="Cancel").click()
        assert page.get_by_text("are cancelled").count() == 0
        assert site.app.workflows.show("report-1", 1).status == "running"


def test_failed_steps_of_workflow_are_retried(site: Site, signed_in: SignIn) -> None:
    with signed_in("ops") as visit:
        visit.page.goto("dashboard/workflow?id=nightly-1")
        visit.page.get_by_role("button", name="Retry failed steps").click()
        expect(visit.page.get_by_text("1 failed steps of workflow nightly-1")).to_be_visible()
        assert site.app.status("load-3").status == "pending"


def test_submitter_cancels_step(site: Site, signed_in: SignIn) -> None:
    with signed_in("ci") as visit:
        visit.page.on("dialog", lambda dialog: dialog.accept())
        visit.page.goto("dashboard/step?id=poll-1")
        visit.page.get_by_role("button", name="Cancel").click()
        expect(visit.page.locator("#life .sum")).to_contain_text("cancelled")
        assert site.app.history("poll-1")[-1].by == "key:ci"


@pytest.mark.parametrize("name", ["ops", "wall"])
def test_form_of_another_site_changes_nothing(
    site: Site, serve: Callable[[ASGIApp], str], signed_in: SignIn, name: str
) -> None:
    """Of another port: there, the browser sends the session's cookie in spite of SameSite."""

    async def other(scope: Scope, receive: Receive, send: Send) -> None:
        page = (
            '<html lang="en"><link rel="icon" href="data:,"><title>Other</title>'
            f'<form method="post" action="{site.url}/dashboard/pause-queue">'
            '<input name="name" value="gpu"><button>Win</button></form></html>'
        )
        headers = [(b"content-type", b"text/html")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": page.encode()})

    with signed_in(name) as visit:
        visit.page.goto(serve(other))
        with visit.page.expect_navigation() as navigation:
            visit.page.get_by_role("button", name="Win").click()
        answer = navigation.value
        assert answer is not None
        assert answer.status == 403
        assert not any(queue.queue == "gpu" for queue in site.app.queues.all())
        visit.expect_fault("request to another host")
        visit.expect_fault("Failed to load resource")  # 403, and 404 for its icon
