"""Finding steps and changing those that were found: from Python, HTTP and the command line."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from starlette.testclient import TestClient

from fleet_q import FleetQ, InvalidInput
from fleet_q.adapters.open import open_store
from fleet_q.core.pod import Join, SendHeartbeat
from fleet_q.core.ports import SyncRequest
from fleet_q.core.search import StepFilter, StepList
from fleet_q.core.step import Submit
from fleet_q.services.app import search
from fleet_q.services.app.moments import age, parse_moment
from fleet_q.services.app.settings import DEFAULT_STORE
from fleet_q.services.http.api import create_http
from fleet_q.services.http.steps import MOST_TEXTS
from tests.services.conftest import Command


def submit(app: FleetQ, *step_ids: str, **options: Any) -> None:
    for step_id in step_ids:
        app.submit({"task_type": "resize"}, step_id=step_id, **options)


def found(app: FleetQ, **conditions: Any) -> list[str]:
    return [row.step_id for row in app.steps(**conditions).steps]


def statuses(app: FleetQ, *step_ids: str) -> list[str]:
    return [app.status(step_id).status for step_id in step_ids]


@pytest.fixture
def http(app: FleetQ) -> TestClient:
    return TestClient(create_http(app))


def test_steps_are_found_by_one_text_or_several(app: FleetQ) -> None:
    submit(app, "a", queue="gpu", key="c1", labels={"day": "1"})
    submit(app, "b", queue="cpu", key="c2")
    app.submit({"task_type": "train"}, step_id="c")

    assert found(app, queue="gpu") == ["a"]
    assert set(found(app, queue=["gpu", "cpu"])) == {"a", "b"}
    assert found(app, task_type="train") == ["c"]
    assert found(app, labels={"day": "1"}, status=["pending", "failed"]) == ["a"]
    assert found(app, key="c2", id_prefix="b") == ["b"]


def test_row_shows_attempt_queue_labels_and_key(app: FleetQ) -> None:
    submit(app, "a", queue="gpu", key="c1", labels={"day": "1"}, priority=3, unique_key="u")
    [row] = app.steps().steps
    assert (row.step_id, row.status, row.queue, row.task_type) == ("a", "pending", "gpu", "resize")
    assert (row.key, row.priority, row.attempt, row.labels) == ("c1", 3, 1, {"day": "1"})
    assert (row.claimed_ts, row.running_for, row.pod_id, row.error) == (None, None, None, None)
    assert row.unique_key == "u"


def test_pages_continue_at_the_cursor(app: FleetQ) -> None:
    submit(app, *"abcde")
    first = app.steps(limit=2)
    assert first.cursor is not None
    second = app.steps(limit=2, cursor=first.cursor)
    third = app.steps(limit=2, cursor=second.cursor)
    rows = [*first.steps, *second.steps, *third.steps]
    assert sorted(row.step_id for row in rows) == list("abcde")
    assert third.cursor is None


def test_times_of_submission_are_moments_or_ages(app: FleetQ) -> None:
    submit(app, "a")
    assert found(app, since=timedelta(hours=2)) == ["a"]
    assert found(app, until=timedelta(hours=2)) == []
    assert found(app, since=datetime(2020, 1, 1)) == ["a"]
    assert found(app, until=datetime(2020, 1, 1, tzinfo=UTC)) == []
    assert found(app, since=timedelta.max) == ["a"]
    assert found(app, until=datetime.min) == []
    assert found(app, until=datetime.max) == ["a"]


@pytest.mark.parametrize(
    ("conditions", "says"),
    [
        ({"status": "running"}, "status must be one of pending, .*'running'"),
        ({"queue": ""}, "queue must be a text of 1 to 200 characters"),
        ({"labels": {"day": 1}}, "label 'day' must be a text"),
        ({"limit": 0}, "limit must be between 1 and 1000"),
        ({"limit": "5"}, "limit must be between 1 and 1000, not '5'"),
        ({"since": "2h"}, "since must be a datetime, or a timedelta for an age, not '2h'"),
        ({"until": 7200}, "until must be a datetime"),
        ({"cursor": "nonsense"}, "cursor='nonsense' is not a cursor"),
    ],
)
def test_invalid_condition_is_refused(app: FleetQ, conditions: dict[str, Any], says: str) -> None:
    submit(app, "a")
    with pytest.raises(InvalidInput, match=says):
        app.steps(**conditions)


def test_selected_steps_are_cancelled_replayed_and_reprioritized(
    app: FleetQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "BATCH", 2)
    submit(app, *"abcde", queue="gpu")
    submit(app, "other")
    batches: list[int] = []

    assert app.cancel_steps(queue="gpu", dry_run=True) == 5
    assert statuses(app, "a") == ["pending"]
    assert app.reprioritize_steps(9, queue="gpu", on_batch=batches.append) == 5
    assert batches == [2, 2, 1]
    assert app.cancel_steps(queue="gpu") == 5
    assert app.cancel_steps(queue="gpu") == 0
    assert app.replay_steps(queue="gpu") == 0
    assert app.replay_steps(queue="gpu", status="cancelled") == 5

    assert statuses(app, *"abcde", "other") == ["pending"] * 6
    assert [event.type for event in app.history("a")] == [
        "submitted", "reprioritized", "cancelled", "replayed",
    ]  # fmt: skip
    assert (app.status("a").priority, app.status("other").priority) == (9, 0)


def of_workflows(app: FleetQ) -> None:
    app.store.submit([Submit(name, "{}", workflow_id=f"{name[0]}-1") for name in ("a1", "a2", "b")])


def test_steps_of_a_workflow_are_found_and_changed(app: FleetQ, http: TestClient) -> None:
    of_workflows(app)
    assert found(app, workflow_id="a-1") == ["a2", "a1"]
    assert app.cancel_steps(workflow_id="b-1") == 1
    assert statuses(app, "a1", "b") == ["pending", "cancelled"]
    [row] = http.get("/steps", params={"workflow_id": "b-1"}).json()["steps"]
    assert (row["step_id"], row["workflow_id"]) == ("b", "b-1")
    changed = http.post("/steps/replay", json={"workflow_id": "b-1", "status": ["cancelled"]})
    assert changed.json() == {"steps": 1, "dry_run": False}


def test_change_of_steps_whose_status_never_allows_it_is_refused(app: FleetQ) -> None:
    with pytest.raises(InvalidInput, match="steps that are completed cannot be cancelled"):
        app.cancel_steps(status="completed")


def test_http_lists_and_changes_selected_steps(app: FleetQ, http: TestClient) -> None:
    submit(app, "a", queue="gpu", labels={"day": "1"})
    submit(app, "b")

    page = http.get("/steps", params={"queue": "gpu", "label": "day=1", "since": "1h"}).json()
    assert [row["step_id"] for row in page["steps"]] == ["a"]
    assert page["cursor"] is None
    dry = http.post("/steps/cancel", json={"queue": ["gpu"], "dry_run": True})
    assert dry.json() == {"steps": 1, "dry_run": True}
    priority = http.post("/steps/set-priority", json={"labels": {"day": "1"}, "priority": 7})
    assert priority.json() == {"steps": 1, "dry_run": False}
    assert http.post("/steps/cancel", json={"queue": ["gpu"]}).json()["steps"] == 1
    assert statuses(app, "a", "b") == ["cancelled", "pending"]
    replayed = http.post("/steps/replay", json={"status": ["cancelled"]})
    assert replayed.json() == {"steps": 1, "dry_run": False}


@pytest.mark.parametrize(
    "query",
    [
        {"status": "running"}, {"since": "yesterday"}, {"label": "day"}, {"limit": 1001},
        {"cursor": "x"}, {"queue": ["q"] * (MOST_TEXTS + 1)},
    ],
)  # fmt: skip
def test_http_refuses_invalid_conditions(
    app: FleetQ, http: TestClient, query: dict[str, Any]
) -> None:
    submit(app, "a")
    assert http.get("/steps", params=query).status_code == 422


def test_command_lists_steps_in_80_columns(fleet_q: Command) -> None:
    fleet_q("submit", '{"task_type": "resize"}', "--queue", "gpu", "--label", "day=1")
    fleet_q("submit", '{"task_type": "train"}')

    code, out, err = fleet_q("steps", "list", "--queue", "gpu")
    assert (code, err) == (0, "")
    assert "resize" in out
    assert "train" not in out
    assert max(map(len, out.splitlines())) <= 80
    rows = json.loads(fleet_q("steps", "list", "--label", "day=1", "--json")[1])["steps"]
    assert [row["task_type"] for row in rows] == ["resize"]
    assert fleet_q("steps", "list", "--type", "none")[1] == "no such steps\n"
    more = fleet_q("steps", "list", "--limit", "1")[1].splitlines()[-1]
    cursor = more.removeprefix("more: add --cursor ")
    assert "resize" in fleet_q("steps", "list", "--cursor", cursor.strip("'"))[1]


def test_command_shows_progress(fleet_q: Command) -> None:
    """The store is the default, a file in the command's folder."""
    fleet_q("submit", '{"task_type": "load"}', "--step-id", "a")
    store = open_store(DEFAULT_STORE)
    store.sync(SyncRequest("pod", "one", Join("pod", "one"), claim=1, claim_token="token"))
    text = "loading 3 of 7, " * 12
    progress = json.dumps({"fraction": 0.4, "text": text})
    heartbeat = SyncRequest("pod", "one", SendHeartbeat("pod", "one"))
    store.sync(replace(heartbeat, progress=(("a", "token", progress),)))
    store.close()

    out = fleet_q("steps", "list")[1]
    assert "claimed 40%" in out
    assert "loading 3 of 7" in out
    assert "progress or error" in out
    row = json.loads(fleet_q("steps", "list", "--json")[1])["steps"][0]
    assert row["progress"] == {"fraction": 0.4, "text": text}
    assert "loading 3 of 7" in fleet_q("status", "a")[1]
    assert json.loads(fleet_q("status", "a", "--json")[1])["progress"] == row["progress"]


def test_command_asks_before_it_changes_steps(fleet_q: Command) -> None:
    fleet_q("submit", "{}", "--step-id", "a")
    fleet_q("submit", "{}", "--step-id", "b")

    code, _, err = fleet_q("steps", "cancel", "--status", "pending")
    assert (code, err) == (1, "fleet-q: 2 steps would be changed; add --yes to cancel them\n")
    assert fleet_q("steps", "cancel", "--dry-run")[1] == "2 steps would be cancelled\n"
    assert fleet_q("steps", "set-priority", "--priority", "3", "-y")[1] == "reprioritized 2 steps\n"
    assert fleet_q("steps", "cancel", "--prefix", "a", "--yes")[1] == "cancelled 1 step\n"
    assert json.loads(fleet_q("steps", "replay", "--status", "cancelled", "-y", "--json")[1]) == {
        "steps": 1,
        "dry_run": False,
    }
    assert fleet_q("steps", "replay", "--yes")[1] == "replayed 0 steps\n"


def test_command_says_that_parents_keep_steps_from_being_replayed(fleet_q: Command) -> None:
    fleet_q("submit", "{}", "--step-id", "a")
    fleet_q("submit", '{"task_type": "b"}', "--step-id", "b", "--after", "a")
    fleet_q("cancel", "a")
    replay = ("steps", "replay", "--status", "cancelled", "--type", "b", "--yes")
    code, out, err = fleet_q(*replay)
    assert (code, out) == (0, "replayed 0 steps\n")
    assert err.startswith("1 step could not be replayed, because a parent failed or was cancelled")
    assert "'fleet-q dlq replay STEP_ID' names it" in err
    assert "its parent 'a' is cancelled; replay that" in fleet_q("dlq", "replay", "b")[2]


def test_command_lists_and_changes_steps_of_a_workflow(fleet_q: Command) -> None:
    of_workflows(FleetQ())  # in the file of the command, in the same folder
    rows = json.loads(fleet_q("steps", "list", "--workflow", "a-1", "--json")[1])["steps"]
    assert [row["step_id"] for row in rows] == ["a2", "a1"]
    assert fleet_q("steps", "cancel", "--workflow", "a-1", "--yes")[1] == "cancelled 2 steps\n"
    replay = ("steps", "replay", "--workflow", "a-1", "--status", "cancelled", "--yes")
    assert fleet_q(*replay)[1] == "replayed 2 steps\n"


def test_moments_are_ages_or_times_in_utc() -> None:
    assert parse_moment("90m") == timedelta(minutes=90)
    assert parse_moment("2026-11-28 14:00") == datetime(2026, 11, 28, 14)
    with pytest.raises(InvalidInput, match="'yesterday' is no time"):
        parse_moment("yesterday")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (-1, "0s"), (119, "119s"), (120, "2m"), (7_200, "2h"), (200_000, "2d")],
)
def test_age_is_shown_in_the_largest_unit(seconds: float, text: str) -> None:
    assert age(seconds) == text


def test_list_goes_on_until_it_is_full(app: FleetQ, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of the store may be short without being the last."""
    app.store.submit([Submit(f"step {n}", "{}", unique=True) for n in range(20)])
    whole = app.store.list_steps

    def short(step_filter: StepFilter, limit: int, cursor: str | None = None) -> StepList:
        return whole(step_filter, min(limit, 3), cursor)

    monkeypatch.setattr(app.store, "list_steps", short)
    assert len(app.steps(limit=10).steps) == 10
