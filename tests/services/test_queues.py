"""The limits of queues in the app, on the command line, and by HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from fleet_q import FleetQ, InvalidInput
from fleet_q.services.app.queues import user
from tests.services.conftest import Command, api_of


def test_limits_are_set_shown_and_removed(app: FleetQ) -> None:
    assert app.queues.all() == []
    view = app.queues.set("api", max_running=10, max_running_per_key=2, rate="100/min")
    assert (view.max_running, view.max_running_per_key, view.rate, view.paused) == (
        10,
        2,
        "100/min",
        False,
    )
    assert app.queues.pause("api").paused
    assert app.queues.set("api", rate=None).rate is None
    view = app.queues.resume("api")
    assert app.queues.all() == [view]
    assert (view.max_running, view.paused) == (10, False)


def test_history_says_who_changed_what(app: FleetQ) -> None:
    app.queues.set("api", rate="5/s")
    app.queues.pause("api")
    first, second = app.queues.history("api")
    assert (first.type, first.rate, first.paused, first.by) == ("created", "5/s", False, user())
    assert (second.version, second.type, second.rate, second.paused) == (2, "paused", "5/s", True)


@pytest.mark.parametrize("name", ["", " a", "a,b", "a" * 201, "a\0"])
def test_invalid_name_is_refused(app: FleetQ, name: str) -> None:
    with pytest.raises(InvalidInput, match="queue must"):
        app.queues.pause(name)
    assert app.queues.all() == []


@pytest.mark.parametrize(
    "limits", [{"paused": "yes"}, {"rate": 5}, {"rate": "fast"}, {"max_running": True}]
)
def test_invalid_limit_is_refused(app: FleetQ, limits: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=repr(*limits.values())):
        app.queues.set("api", **limits)
    assert app.queues.all() == []


def test_commands_set_pause_resume_and_list(fleet_q: Command) -> None:
    fleet_q("submit", "{}")
    assert fleet_q("queue", "list")[1] == "no queue has limits\n"
    code, out, err = fleet_q("queue", "set", "api", "--max-running", "3", "--rate", "5/s")
    assert (code, err) == (0, "")
    assert "5/s" in out
    fleet_q("queue", "pause", "api")
    fleet_q("queue", "set", "api", "--max-running", "none", "--max-running-per-key", "1")
    code, out, err = fleet_q("queue", "resume", "api", "--json")
    view = json.loads(out)
    assert (view["max_running"], view["max_running_per_key"], view["rate"]) == (None, 1, "5/s")
    assert json.loads(fleet_q("queue", "list", "--json")[1]) == [view]
    history = json.loads(fleet_q("queue", "history", "api", "--json")[1])
    assert [event["type"] for event in history] == ["created", "paused", "changed", "resumed"]
    assert "resumed" in fleet_q("queue", "history", "api")[1]
    assert json.loads(fleet_q("queue", "--json")[1])["pending"] == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["set", "api"], "name a limit to set"),
        (["set", "api", "--max-running", "0"], "max_running must be a whole number from 1"),
        (["set", "api", "--max-running", "many"], "--max-running must be a whole number"),
        (["set", "api", "--rate", "100"], "a rate is written like 100/min"),
        (["pause", "a,b"], "no comma"),
        (["--json", "list"], "options follow the command"),
    ],
)
def test_wrong_words_are_one_line(fleet_q: Command, words: list[str], says: str) -> None:
    fleet_q("submit", "{}")
    code, out, err = fleet_q("queue", *words)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert says in err


def test_http_sets_pauses_resumes_and_lists(app: FleetQ) -> None:
    http = TestClient(api_of(app))
    answer = http.put("/queues/a%2Fb", json={"max_running": 3, "rate": "5/s"})
    assert answer.status_code == 200
    assert answer.json()["rate"] == "5/s"
    assert http.post("/queues/a%2Fb/pause").json()["paused"] is True
    view = http.put("/queues/a%2Fb", json={"max_running": None}).json()
    assert (view["queue"], view["max_running"], view["rate"]) == ("a/b", None, "5/s")
    assert view["paused"] is True
    view = http.post("/queues/a%2Fb/resume").json()
    assert http.get("/queues").json() == [view]
    history = http.get("/queues/a%2Fb/history").json()
    assert [event["type"] for event in history] == ["created", "paused", "changed", "resumed"]


@pytest.mark.parametrize(
    "body", [{"max_running": 0}, {"max_running": "3"}, {"rate": "fast"}, {"other": 1}]
)
def test_http_refuses_invalid_limits(app: FleetQ, body: dict[str, object]) -> None:
    answer = TestClient(api_of(app)).put("/queues/q", json=body)
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)
    assert app.queues.all() == []
