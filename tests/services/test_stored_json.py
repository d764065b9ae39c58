"""A step whose stored JSON is none, because somebody wrote it by hand, hides no other step."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from fleet_q import FleetQ
from fleet_q.core.errors import StepConflict
from fleet_q.core.step import Submit
from tests.services.conftest import Run, api_of
from tests.services.test_leases import Client

INVALID = ['{"delay": Infinity}', "[1]", "nonsense", "[" * 5_000]


@pytest.fixture(params=INVALID, ids=["infinity", "list", "text", "nested"])
def text(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_dead_letters_with_and_without_json_are_listed_together(
    app: FleetQ, run: Run, text: str
) -> None:
    @app.executor
    def work(step: object) -> None:
        raise ValueError

    app.submit({}, step_id="good", max_retries=0)
    app.store.submit([Submit("bad", text)])
    assert [step.status for step in run("good", "bad")] == ["failed", "failed"]
    assert {step.step_id: step.payload for step in app.dead_letters().steps} == {
        "good": {},
        "bad": {"invalid_json": text},
    }
    http = TestClient(api_of(app))
    assert len(http.get("/admin/dlq").json()["steps"]) == 2
    assert http.get("/status/bad").json()["payload"] == {"invalid_json": text}
    first = app.history("bad")[0]
    assert (first.type, first.data["payload"]) == ("submitted", [1] if text == "[1]" else text)
    assert first.data["max_retries"] == 3


def test_steps_with_and_without_json_labels_are_listed_together(app: FleetQ, text: str) -> None:
    app.submit({}, step_id="good", labels={"day": "1"})
    app.store.submit([Submit("bad", "{}", labels=text)])
    assert {step.step_id: step.labels for step in app.steps().steps} == {
        "good": {"day": "1"},
        "bad": {"invalid_json": text},
    }
    assert [step.step_id for step in app.steps(labels={"day": "1"}).steps] == ["good"]


def test_client_may_claim_a_step_without_json(app: FleetQ, text: str) -> None:
    app.store.submit([Submit("bad", text, labels=text)])
    with app.leasing() as pod:
        (step,) = Client(api_of(app, lease=True)).claim()
        pod.drain(0)
    assert step["payload"] == step["labels"] == {"invalid_json": text}


def test_submission_with_the_id_of_a_step_without_json_differs_from_it(
    app: FleetQ, text: str
) -> None:
    app.store.submit([Submit("bad", text)])
    with pytest.raises(StepConflict, match="'bad' already exists with a different payload"):
        app.submit({}, step_id="bad")
