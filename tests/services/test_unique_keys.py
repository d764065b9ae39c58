"""Unique keys from Python, HTTP and the command line."""

from __future__ import annotations

import json

import pytest
from starlette.testclient import TestClient

from fleet_q import FleetQ, InvalidInput, UniqueKeyTaken
from fleet_q.services.http.api import create_http
from tests.services.conftest import Command


def test_submit_returns_the_id_of_the_step_that_has_the_key(app: FleetQ) -> None:
    first = app.submit({"n": 1}, unique_key="report")

    assert app.submit({"n": 2}, unique_key="report") == first
    assert app.submit({"n": 3}, unique_key="report", on_conflict="replace") == first

    assert app.status(first).payload == {"n": 3}
    assert [event.type for event in app.history(first)] == ["submitted", "replaced"]


def test_task_is_submitted_once_with_a_unique_key(app: FleetQ) -> None:
    @app.task("refresh")
    def refresh(report: str) -> None:
        pass

    once = refresh.options(unique_key="sales", unique_for=60)
    first = once.submit(report="sales")
    app.cancel(first)

    assert once.submit(report="sales") == first


def test_key_that_is_taken_is_an_error_if_no_other_step_will_do(app: FleetQ) -> None:
    first = app.submit({}, unique_key="report")

    with pytest.raises(UniqueKeyTaken) as error:
        app.submit({}, unique_key="report", on_conflict="error")

    assert (error.value.step_id, error.value.unique_key) == (first, "report")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"unique_for": 60}, "unique_for needs a unique_key"),
        ({"unique_key": "k", "on_conflict": "ignore"}, "on_conflict must be existing, replace or"),
        ({"unique_key": ""}, "unique_key must be a text"),
    ],
)
def test_invalid_options_of_uniqueness_are_refused(
    app: FleetQ, options: dict[str, object], says: str
) -> None:
    with pytest.raises(InvalidInput, match=says):
        app.submit({}, **options)  # type: ignore[arg-type]


def test_http_answers_with_the_id_of_the_step_that_has_the_key(app: FleetQ) -> None:
    http = TestClient(create_http(app))
    body = {"payload": {}, "unique_key": "report"}
    first = http.post("/submit", json=body).json()["step_id"]

    assert http.post("/submit", json=body).json()["step_id"] == first
    batch = {"steps": [body, {"payload": {"n": 1}}]}
    step_ids = http.post("/submit/batch", json=batch).json()["step_ids"]
    assert step_ids[0] == first
    taken = http.post("/submit", json={**body, "on_conflict": "error"})
    assert taken.status_code == 409
    assert taken.json() == {"detail": f"step {first!r} has the unique key 'report'"}


def test_command_prints_the_id_of_the_step_that_has_the_key(fleet_q: Command) -> None:
    first = fleet_q("submit", "{}", "--unique-key", "report")[1]

    assert fleet_q("submit", "{}", "--unique-key", "report")[1] == first
    many = fleet_q("submit", "-", "--unique-key", "report", "--json", stdin="{}\n{}\n")[1]
    assert {step["step_id"] for step in json.loads(many)} == {first.strip()}
    code, _, err = fleet_q("submit", "{}", "--unique-key", "report", "--on-conflict", "error")
    assert (code, err) == (1, f"fleet-q: step {first.strip()!r} has the unique key 'report'\n")
