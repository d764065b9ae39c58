"""The pages about steps: what they list, show, hide and change."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace
from starlette.testclient import TestClient

from fleet_q import FleetQ
from fleet_q.core.pod import Join
from fleet_q.core.ports import SyncRequest
from fleet_q.core.step import Fail
from fleet_q.services.app.views import EventView
from fleet_q.services.dashboard import steps as steps_page
from fleet_q.services.dashboard.life import life_of
from fleet_q.services.http.api import create_http
from tests.services.conftest import QUICK

KEYS = ("wall=read:wall-secret", "ci=submit:ci-secret", "ops=admin:ops-secret")


@pytest.fixture(scope="module")
def locked() -> tuple[FleetQ, TestClient]:
    """An app and its dashboard with keys of three roles."""
    app = FleetQ("memory://", settings=replace(QUICK, api_keys=KEYS))
    return app, TestClient(create_http(app, dashboard=True))


@pytest.fixture
def page(app: FleetQ) -> TestClient:
    return TestClient(create_http(app, dashboard=True))


def test_list_shows_the_steps_that_a_filter_selects(app: FleetQ, page: TestClient) -> None:
    for number in range(3):
        app.submit({"task_type": f"t{number}"}, step_id=f"step-{number}", queue=f"q{number}")
    assert _listed(page, "/dashboard/steps") == ["step-2", "step-1", "step-0"]
    assert _listed(page, "/dashboard/steps?queue=q1&queue=q2") == ["step-2", "step-1"]
    assert _listed(page, "/dashboard/steps?id_prefix=step-0") == ["step-0"]
    assert _listed(page, "/dashboard/steps?status=claimed") == []
    assert page.get("/dashboard/steps?since=never").status_code == 422


def test_list_goes_on_with_older_steps(
    app: FleetQ, page: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps_page, "PER_PAGE", 2)
    for number in range(3):
        app.submit({}, step_id=f"step-{number}")
    text = page.get("/dashboard/steps").text
    (older,) = re.findall(r'rel="next" href="([^"]+)"', text)
    assert _listed(page, "/dashboard/" + older.replace("&amp;", "&")) == ["step-0"]


def test_empty_list_says_what_to_do(page: TestClient) -> None:
    assert "There are no steps yet" in page.get("/dashboard/steps").text
    assert "No step matches" in page.get("/dashboard/steps?queue=other").text
    assert "There was no step yet" in page.get("/dashboard/steps?at=1h").text


def test_ticked_steps_are_changed_and_the_others_are_not(app: FleetQ, page: TestClient) -> None:
    ids = [app.submit({}, step_id=f"step-{number}") for number in range(3)]
    done = _act(page, "/dashboard/steps", "cancel-steps", step_id=ids[:2])
    assert "2 steps cancelled." in done
    assert [app.status(step_id).status for step_id in ids] == ["cancelled"] * 2 + ["pending"]
    done = _act(page, "/dashboard/steps", "replay-steps", step_id=ids)
    assert "2 steps replayed. 1 step did not allow it." in done
    _act(page, "/dashboard/steps", "reprioritize-steps", step_id=ids[0], priority="7")
    assert [app.status(step_id).priority for step_id in ids] == [7, 0, 0]


def test_all_selected_steps_are_changed_after_a_question(app: FleetQ, page: TestClient) -> None:
    mine, other = app.submit({}, queue="mine"), app.submit({}, queue="other")
    address = "/dashboard/change-steps?what=cancel&queue=mine"
    assert "Cancel 1 step?" in page.get(address).text
    done = _act(page, address, "cancel-steps", all="1", queue="mine")
    assert "1 step cancelled." in done
    assert [app.status(mine).status, app.status(other).status] == ["cancelled", "pending"]


def test_one_press_changes_a_limited_number(
    app: FleetQ, page: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps_page, "MOST_CHANGED", 1)
    monkeypatch.setattr("fleet_q.services.app.search.BATCH", 1)
    app.submit({})
    app.submit({})
    done = _act(page, "/dashboard/change-steps?what=cancel", "cancel-steps", all="1")
    assert "1 step cancelled. There may be more" in done


def test_step_shows_its_life_and_contents(app: FleetQ, page: TestClient) -> None:
    step_id = app.submit({"task_type": "t", "file": "data.csv"}, labels={"day": "monday"})
    _fail(app, "ValueError: row 17")
    text = page.get(f"/dashboard/step?id={step_id}").text
    for expected in ("data.csv", "ValueError: row 17", "day=monday", "claimed", "Replay"):
        assert expected in text
    assert "Replay</button>" in text
    assert "Cancel</button>" not in text
    assert page.get("/dashboard/step?id=other").status_code == 404


def test_actions_of_a_step(app: FleetQ, page: TestClient) -> None:
    step_id = app.submit({})
    here = f"/dashboard/step?id={step_id}"
    _act(page, here, "reprioritize-step", id=step_id, priority="3")
    assert app.status(step_id).priority == 3
    assert "is cancelled." in _act(page, here, "cancel-step", id=step_id)
    assert "is pending again" in _act(page, here, "replay-step", id=step_id)
    assert app.status(step_id).status == "pending"
    assert page.get(here).text.count("replayed") == 1


def test_step_shows_the_steps_before_and_after_it(app: FleetQ, page: TestClient) -> None:
    one = app.submit({}, step_id="one")
    two = app.submit({}, step_id="two", after=one)
    assert ">one</a>" in page.get(f"/dashboard/step?id={two}").text


def test_viewer_who_may_not_see_contents_sees_none(locked: tuple[FleetQ, TestClient]) -> None:
    app, client = locked
    step_id = app.submit({"secret": "s3cret"}, labels={"who": "s3cret"}, key="s3cret")
    _fail(app, "ValueError: s3cret")
    wall = {"X-API-Key": "wall-secret"}
    for address in ("/dashboard/steps", f"/dashboard/step?id={step_id}"):
        text = client.get(address, headers=wall).text
        assert step_id in text
        assert "s3cret" not in text
    assert client.get("/dashboard/steps?key=s3cret", headers=wall).status_code == 422
    assert "s3cret" in client.get(address, headers={"X-API-Key": "ci-secret"}).text


@pytest.mark.parametrize(("holder", "may"), [("wall", []), ("ci", ["cancel"]), ("ops", None)])
def test_roles_are_offered_what_they_may_do_and_no_more(
    locked: tuple[FleetQ, TestClient], holder: str, may: list[str] | None
) -> None:
    app, client = locked
    step_id = app.submit({})
    headers = {"X-API-Key": f"{holder}-secret"}
    here = f"/dashboard/step?id={step_id}"
    text = client.get(here, headers=headers).text
    offered = set(re.findall(r'action="\.\./dashboard/(\w+)-step"', text))
    assert offered == ({"cancel", "reprioritize"} if may is None else set(may))
    tokens = re.findall(r'name="token" value="([^"]+)"', client.get(here, headers=headers).text)
    form = {"token": tokens[0] if tokens else "", "id": step_id, "priority": "1"}
    for action in ("replay", "reprioritize", "cancel"):
        answer = client.post(f"/dashboard/{action}-step", data=form, headers=headers)
        assert (answer.status_code == 403) == (may is not None and action not in may)


def test_page_of_the_past_shows_the_step_as_it_was(app: FleetQ, page: TestClient) -> None:
    step_id = app.submit({})
    app.cancel(step_id)
    submitted, cancelled = (event.at for event in app.history(step_id))
    at = submitted
    text = page.get(f"/dashboard/step?id={step_id}&at={at}").text
    assert 'class="status pending"' in text
    assert cancelled[11:19] in text or "cancelled" not in text
    assert "<button>Replay" not in text
    assert _listed(page, f"/dashboard/steps?status=pending&at={at}") == [step_id]
    assert page.get(f"/dashboard/step?id={step_id}&at=2h").status_code == 404


def test_life_counts_what_was_due_and_what_ran() -> None:
    def event(version: int, kind: str, seconds: float, **data: object) -> EventView:
        at = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return EventView(version, kind, at, "pod-1", data)

    history = [
        event(1, "submitted", 0, available_ts="1970-01-01T00:00:10.000000Z"),
        event(2, "claimed", 15),
        event(3, "retried", 18, available_ts="1970-01-01T00:00:28.000000Z", error="E"),
        event(4, "claimed", 30),
        event(5, "completed", 34),
    ]
    life = life_of(history, 99_000_000)
    assert [(part.name, part.seconds) for part in life.parts] == [
        ("not due", 10),
        ("due", 5),
        ("running", 3),
        ("not due", 10),
        ("due", 2),
        ("running", 4),
    ]
    assert (life.waited, life.ran, life.took) == (7, 7, 34)
    assert sum(part.width for part in life.parts) == pytest.approx(1_000, abs=1)


def _listed(page: TestClient, address: str) -> list[str]:
    answer = page.get(address)
    assert answer.status_code == 200
    return re.findall(r'<th scope="row"><a class="id" href="[^"]+">([^<]+)</a>', answer.text)


def _act(page: TestClient, address: str, action: str, **fields: object) -> str:
    """Send a form of the page at this address; return the text of the page after it."""
    (token, *_) = re.findall(r'name="token" value="([^"]+)"', page.get(address).text)
    answer = page.post(f"/dashboard/{action}", data={"token": token, **fields})
    assert answer.status_code == 200, answer.text
    return answer.text


def _fail(app: FleetQ, error: str) -> None:
    """Claim the step that waits, and fail it for good."""
    join = Join("pod", "one")
    (step,) = app.store.sync(SyncRequest("pod", "one", join, claim=1, claim_token="its")).claimed
    failure = Fail(step.step_id, "its", error, permanent=True)
    app.store.sync(SyncRequest("pod", "one", outcomes=(failure,)))
