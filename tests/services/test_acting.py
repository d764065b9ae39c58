"""Who did it: the history names the holder of the key, the user of the command line, or the pod."""

from __future__ import annotations

import json
import socket
from typing import Any

import msgspec
import pytest
from starlette.testclient import TestClient

from fleet_q import FleetQ
from fleet_q.services.app.acting import actor
from fleet_q.services.app.queues import user
from fleet_q.services.http.api import create_http
from tests.services.conftest import QUICK, Command, Run, api_of

KEYED = msgspec.structs.replace(QUICK, api_keys=("ci=submit:1", "ops=admin:2"))


def by(app: FleetQ, step_id: str) -> list[tuple[str, str | None]]:
    return [(event.type, event.by) for event in app.history(step_id)]


def test_changes_over_http_name_the_holder_of_the_key() -> None:
    app = FleetQ("memory://", settings=KEYED)
    http = TestClient(create_http(app))

    def send(key: int, method: str, path: str, **body: Any) -> Any:
        answer = http.request(method, path, json=body, headers={"X-API-Key": str(key)})
        assert answer.status_code == 200, answer.text
        return answer.json()

    one = send(1, "POST", "/submit", payload={})["step_id"]
    (two,) = send(1, "POST", "/submit/batch", steps=[{"payload": {}}])["step_ids"]
    send(2, "POST", f"/steps/{one}/cancel")
    send(2, "POST", "/steps/set-priority", priority=3)
    send(1, "POST", f"/steps/{two}/cancel")
    send(2, "POST", "/steps/replay", status=["cancelled"])
    assert by(app, one) == [
        ("submitted", "key:ci"), ("cancelled", "key:ops"), ("replayed", "key:ops"),
    ]  # fmt: skip
    assert by(app, two) == [
        ("submitted", "key:ci"), ("reprioritized", "key:ops"), ("cancelled", "key:ci"),
        ("replayed", "key:ops"),
    ]  # fmt: skip
    answer = http.get(f"/steps/{one}/history", headers={"X-API-Key": "1"}).json()
    assert [event["by"] for event in answer] == ["key:ci", "key:ops", "key:ops"]

    send(2, "POST", "/queues/default/pause")
    send(2, "PUT", "/schedules/nightly", payload={}, every=60)
    step_id = send(1, "POST", "/schedules/nightly/trigger")["step_id"]
    assert [event.by for event in app.queues.history("default")] == ["key:ops"]
    assert [event.by for event in app.schedules.history("nightly")] == ["key:ops"]
    assert by(app, step_id) == [("submitted", "key:ci")]
    assert actor() is None


def test_changes_of_the_command_line_name_its_user(fleet_q: Command) -> None:
    step_id = fleet_q("submit", "{}")[1].strip()
    fleet_q("cancel", step_id)
    fleet_q("steps", "replay", "--status", "cancelled", "--yes")
    code, out, _ = fleet_q("history", step_id, "--json")
    assert code == 0
    assert [(event["type"], event["by"]) for event in json.loads(out)] == [
        ("submitted", user()), ("cancelled", user()), ("replayed", user()),
    ]  # fmt: skip
    assert f"cancelled  {user()}" in fleet_q("history", step_id)[1]
    assert actor() is None


def test_changes_of_a_program_name_its_pod_or_its_user(app: FleetQ, run: Run) -> None:
    @app.task("spawn")
    def spawn() -> str:
        other = app.submit({})
        app.cancel(other)
        return other

    step_id = spawn.submit()
    (step,) = run(step_id)
    assert by(app, step_id)[0] == ("submitted", None)
    assert by(app, step.result) == [("submitted", "pod-1"), ("cancelled", "pod-1")]
    waiting = app.submit({}, delay=60)
    app.cancel(waiting)
    assert by(app, waiting) == [("submitted", None), ("cancelled", user())]


def test_changes_over_http_without_keys_name_the_pod_that_made_them(app: FleetQ) -> None:
    with app.leasing():
        http = TestClient(api_of(app, lease=True))
        step_id = http.post("/submit", json={"payload": {}, "delay": 60}).json()["step_id"]
        http.post(f"/steps/{step_id}/cancel")
    assert by(app, step_id) == [("submitted", "pod-1"), ("cancelled", "pod-1")]


@pytest.mark.parametrize("name", ["a\nb", "\udcff", "x" * 5_000, "key:ops"])
def test_name_of_the_user_is_stored_whatever_the_environment_says(
    app: FleetQ, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("LOGNAME", name)
    step_id = app.submit({})
    app.cancel(step_id)
    (event,) = [event for event in app.history(step_id) if event.type == "cancelled"]
    assert event.by is not None
    assert event.by.endswith(f"@{socket.gethostname()}")
    assert event.by.isprintable()
    assert len(event.by) < 300
