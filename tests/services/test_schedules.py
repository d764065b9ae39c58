"""Schedules in Python, on the command line and over HTTP; those that code declares."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from starlette.testclient import TestClient

from fleet_q import FleetQ, InvalidInput, LastStepNotEnded, StoreUnavailable, UnknownSchedule
from fleet_q.adapters.memory import MemoryStore
from fleet_q.core.firing import FiringStats
from fleet_q.services.worker.careful_log import wait_for_handlers
from fleet_q.services.worker.loop_thread import LoopThread
from fleet_q.services.worker.pod_log import PodLog
from tests.waiting import LIMIT, wait_until

from .conftest import Command, api_of

DAY = 86_400 * 1_000_000
PAYLOAD = {"task_type": "report"}


class Clock:
    """The store's time: midnight of 2026-11-28 in UTC at first."""

    def __init__(self) -> None:
        self.now = 20_785 * DAY

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(clock: Clock) -> FleetQ:
    return FleetQ(MemoryStore(clock))


def test_schedule_is_put_shown_changed_and_deleted(app: FleetQ) -> None:
    made = app.schedules.put(
        "nightly", PAYLOAD, cron="0 2 * * *", tz="Europe/Berlin", overlap="one", queue="reports"
    )
    assert (made.next, made.status, made.queue) == ("2026-11-28T01:00:00Z", "active", "reports")
    assert app.schedules.all() == [made]
    app.schedules.put("nightly", PAYLOAD, every=3_600, missed="none", window=60)
    (changed,) = app.schedules.all()
    assert (changed.cron, changed.every, changed.missed, changed.window) == (None, 3600, "none", 60)
    assert app.schedules.delete("nightly").status == "deleted"
    assert app.schedules.all() == []
    assert [event.type for event in app.schedules.history("nightly")] == [
        "created",
        "changed",
        "deleted",
    ]


def test_next_times_are_those_of_the_zone(app: FleetQ) -> None:
    app.schedules.put("nightly", PAYLOAD, cron="30 1 * * 1-5", tz="America/New_York")
    assert app.schedules.next("nightly", 2) == ["2026-11-30T06:30:00Z", "2026-12-01T06:30:00Z"]
    app.schedules.pause("nightly")
    assert app.schedules.next("nightly") == []
    assert app.schedules.resume("nightly").next == "2026-11-30T06:30:00Z"


def test_trigger_submits_a_step_now_unless_the_last_has_not_ended(app: FleetQ) -> None:
    app.schedules.put("nightly", PAYLOAD, cron="0 2 * * *")
    app.schedules.pause("nightly")
    step_id = app.schedules.trigger("nightly")
    assert step_id == "nightly@2026-11-28T00:00:00Z"
    assert app.status(step_id).payload == PAYLOAD
    with pytest.raises(
        LastStepNotEnded, match=f"'{step_id}' has not ended, and its overlap is skip"
    ):
        app.schedules.trigger("nightly")


@pytest.mark.parametrize("method", ["pause", "resume", "delete", "trigger", "next", "history"])
def test_unknown_schedule_is_an_error(app: FleetQ, method: str) -> None:
    with pytest.raises(UnknownSchedule, match="there is no schedule 'none'"):
        getattr(app.schedules, method)("none")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either a cron expression or every"),
        ({"cron": 5}, "cron must be a text, not 5"),
        ({"cron": "0 2 * * *", "tz": None}, "tz must be a text"),
        ({"every": "1h"}, "every must be a number of seconds"),
        ({"every": 0.5}, "every must be 1 to"),
        ({"cron": "0 25 * * *"}, "cron '0 25 \\* \\* \\*' is invalid: bad hour"),
        ({"cron": "0 2 * * *", "queue": " a"}, "queue must have no comma"),
        ({"cron": "0 2 * * *", "window": -1}, "window must be between 0"),
    ],
)
def test_invalid_schedule_is_refused(app: FleetQ, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        app.schedules.put("nightly", PAYLOAD, **options)
    assert app.schedules.all() == []


def test_pod_puts_and_fires_the_schedules_of_its_code(app: FleetQ, clock: Clock) -> None:
    app.schedules.put("of another deployment", PAYLOAD, cron="0 5 1 1 *")

    @app.schedule("0 2 * * *", arguments={"day": "today"})
    @app.task("report")
    def report(day: str) -> str:
        return day

    @app.schedule(every=7_200, name="other")
    def plain() -> None: ...

    assert plain.name == "plain"
    with LoopThread() as thread, app.running_on(thread.loop):
        wait_until(lambda: len(app.schedules.all()) == 3)
        clock.now += 2 * 3_600 * 1_000_000
        app._work_arrived()
        wait_until(lambda: app.queue()["completed"] == 2)
    assert app.status("report@2026-11-28T02:00:00Z").result == "today"
    assert app.status("other@2026-11-28T02:00:00Z").status == "completed"


def test_fleet_that_was_off_over_the_weekend_fires_the_latest_time(
    app: FleetQ, clock: Clock
) -> None:
    app.task("report")(lambda: None)
    app.schedules.put("nightly", PAYLOAD, cron="0 2 * * *", tz="Europe/Berlin")
    clock.now += 3 * DAY
    with LoopThread() as thread, app.running_on(thread.loop):
        wait_until(lambda: app.queue()["completed"] == 1)
    (view,) = app.schedules.all()
    assert view.last_step_id == "nightly@2026-11-30T01:00:00Z"
    assert view.next == "2026-12-01T01:00:00Z"


def test_invalid_declarations_are_refused_where_they_stand(app: FleetQ) -> None:
    @app.task("report")
    def report(day: str) -> None: ...

    with pytest.raises(InvalidInput, match=r"schedule 'report': task 'report': .*day"):
        app.schedule("0 2 * * *")(report)
    with pytest.raises(InvalidInput, match="schedule 'report': tz must be a time zone"):
        app.schedule("0 2 * * *", tz="Mars", arguments={"day": "x"})(report)
    app.schedule("0 2 * * *", arguments={"day": "x"})(report)
    with pytest.raises(InvalidInput, match="schedule 'report' is declared twice; give it a name"):
        app.schedule("0 3 * * *", arguments={"day": "x"})(report)


def test_log_tells_what_fired_and_what_could_not(caplog: pytest.LogCaptureFixture) -> None:
    log = PodLog("pod")
    with caplog.at_level(logging.INFO):
        log.on_fired(FiringStats(submitted=2), None)
        log.on_fired(FiringStats(), None)
        log.on_fired(FiringStats(), StoreUnavailable("away"))
        log.on_not_fired("nightly", InvalidInput("no time"))
        assert wait_for_handlers(LIMIT)
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("INFO", "schedules: submitted 2 step(s)"),
        ("WARNING", "schedules: fired later: away"),
        ("ERROR", "schedule 'nightly' is not fired: no time"),
    ]


def test_commands_put_list_pause_trigger_and_delete(fleet_q: Command) -> None:
    put = ("put", "nightly", '{"task_type":"report"}', "--cron", "0 2 * * *", "--tz", "Asia/Tokyo")
    assert "nightly" in fleet_q("schedules", *put)[1]
    listed = json.loads(fleet_q("schedules", "list", "--json")[1])
    assert [(view["schedule"], view["tz"]) for view in listed] == [("nightly", "Asia/Tokyo")]
    assert "0 2 * * *" in fleet_q("schedules", "list")[1]
    assert len(fleet_q("schedules", "next", "nightly", "--count", "3")[1].split()) == 3
    assert "paused" in fleet_q("schedules", "pause", "nightly")[1]
    assert "active" in fleet_q("schedules", "resume", "nightly")[1]
    assert fleet_q("schedules", "trigger", "nightly")[1].startswith("nightly@")
    assert "deleted" in fleet_q("schedules", "delete", "nightly")[1]
    assert "no schedules" in fleet_q("schedules", "list")[1]
    assert "created" in fleet_q("schedules", "history", "nightly")[1]
    every = ("put", "often", "{}", "--every", "15m", "--window", "2h")
    assert json.loads(fleet_q("schedules", *every, "--json")[1])["every"] == 900


def test_http_puts_lists_pauses_triggers_and_deletes(app: FleetQ) -> None:
    http = TestClient(api_of(app))
    body = {"payload": PAYLOAD, "cron": "0 2 * * *", "tz": "Europe/Berlin"}
    assert http.put("/schedules/nightly", json=body).json()["next"] == "2026-11-28T01:00:00Z"
    assert [view["schedule"] for view in http.get("/schedules").json()] == ["nightly"]
    assert http.post("/schedules/nightly/pause").json()["status"] == "paused"
    assert http.post("/schedules/nightly/resume").json()["status"] == "active"
    times = http.get("/schedules/nightly/next", params={"count": 1}).json()
    assert times == ["2026-11-28T01:00:00Z"]
    step_id = http.post("/schedules/nightly/trigger").json()["step_id"]
    assert http.get(f"/status/{step_id}").json()["status"] == "pending"
    assert http.post("/schedules/nightly/trigger").status_code == 409
    assert len(http.get("/schedules/nightly/history").json()) == 3
    assert http.delete("/schedules/nightly").json()["status"] == "deleted"
    assert http.delete("/schedules/nightly").status_code == 404
    assert http.put("/schedules/x", json={"payload": {}, "cron": "x"}).status_code == 422
