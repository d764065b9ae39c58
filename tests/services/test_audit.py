"""``fleet-q audit`` and ``GET /admin/audit``: what happened, and who did it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from fleet_q import FleetQ
from fleet_q.core.errors import InvalidInput
from fleet_q.services.app.queues import user
from fleet_q.services.cli.audit import oldest_first
from fleet_q.services.cli.audit_watch import follow
from fleet_q.services.http.api import create_http
from tests.conformance.clock import SECOND, FakeClock
from tests.services.conftest import Command


def test_audit_shows_the_latest_events_in_order_of_time(fleet_q: Command) -> None:
    step_id = fleet_q("submit", "{}", "--queue", "gpu")[1].strip()
    fleet_q("queue", "pause", "gpu")
    fleet_q("cancel", step_id)
    code, shown, _ = fleet_q("audit", "--limit", "2")
    assert code == 0
    first, pause, second, cancel = shown.splitlines()
    assert first.endswith(f"Z  created        by {user()}")
    assert pause == "     queue gpu"
    assert second.endswith(f"Z  cancelled      by {user()}")
    assert cancel == f"     step {step_id}  queue gpu"


def test_audit_selects_by_time_who_step_and_queue(fleet_q: Command) -> None:
    one = fleet_q("submit", "{}")[1].strip()
    two = fleet_q("submit", "{}", "--queue", "gpu")[1].strip()

    def names(*options: str) -> list[str]:
        return [entry["name"] for entry in json.loads(fleet_q("audit", "--json", *options)[1])]

    assert names() == names("--by", user()) == names("--since", "1h") == [one, two]
    assert names("--step", one) == [one]
    assert names("--index", "--since", "1h") == [one, two]
    assert names("--queue", "gpu") == [two]
    assert names("--since", "1h", "--limit", "1") == [one]
    assert names("--by", "key:ci") == names("--until", "1h") == []
    assert fleet_q("audit", "--by", "key:ci")[1] == (
        "nothing happened that meets these conditions\n"
    )


def test_audit_over_http_comes_in_pages(app: FleetQ) -> None:
    http = TestClient(create_http(app))
    step_ids = app.submit_many([{}, {}, {}])

    def page(**params: Any) -> Any:
        return http.get("/admin/audit", params={"limit": 2, **params}).json()

    first = page(newest_first=False)
    second = page(newest_first=False, cursor=first["cursor"])
    assert [entry["name"] for entry in first["entries"] + second["entries"]] == step_ids
    assert second["cursor"] is None
    assert [entry["name"] for entry in page()["entries"]] == step_ids[:0:-1]
    assert http.get("/admin/audit", params={"since": "yesterday"}).status_code == 422
    assert http.get("/admin/audit", params={"cursor": "x"}).status_code == 422


def test_audit_takes_times_and_ages(app: FleetQ) -> None:
    app.submit({})
    hour = timedelta(hours=1)
    for since, count in ((hour, 1), (datetime.now(UTC) - hour, 1), (datetime.now(UTC) + hour, 0)):
        assert len(app.audit(since=since).entries) == count
    for limit in (0, 1_001, True):
        with pytest.raises(InvalidInput, match="limit"):
            app.audit(limit=limit)


def test_watch_shows_each_event_once_until_ctrl_c(app: FleetQ) -> None:
    app.submit_many([{}, {}])
    shown, seen = app.audit(limit=1).entries, list[str]()
    clock, counts, step_ids = FakeClock(), [2, 0, 1, 0], list[str]()

    def sleep(seconds: float) -> None:
        if not counts:
            raise KeyboardInterrupt
        clock.advance(60)
        step_ids.extend(app.submit_many([{}] * counts.pop(0)))

    follow(
        app, {}, oldest_first, shown, lambda entry: seen.append(entry.name),
        clock=lambda: clock() / SECOND, sleep=sleep,
    )  # fmt: skip
    assert seen == step_ids


def test_watch_goes_on_without_an_end(fleet_q: Command) -> None:
    fleet_q("submit", "{}")
    assert fleet_q("audit", "--watch", "--until", "1h")[0] == 1
