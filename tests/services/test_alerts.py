"""Alerts: the leader sends them to a webhook, which here is a server of the test's own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from starlette.testclient import TestClient

from fleet_q import FleetQ, InvalidInput, Settings
from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.core.alerts import Alert, AlertDetail
from fleet_q.services.app import webhook
from fleet_q.services.app.alerts import notice, text_of
from fleet_q.services.app.settings import from_env
from fleet_q.services.worker import alert_sender
from fleet_q.services.worker.careful_log import wait_for_handlers
from tests.receiver import Receiver, receiving
from tests.services.conftest import QUICK, Command, api_of
from tests.waiting import LIMIT, wait_until_async

SECRET = "/services/T0/B0/geheim"
BEGIN = 1_790_000_000_000_000


class Clock:
    now = BEGIN

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(webhook, "ANSWER_WITHIN", LIMIT)
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> SqliteStore:
    return SqliteStore(tmp_path / "fleet-q.db", clock=clock)


def app_of(store: SqliteStore, receiver: Receiver, pod_id: str = "pod-1") -> FleetQ:
    settings = replace(QUICK, pod_id=pod_id, alert_webhook=receiver.url + SECRET)
    app = FleetQ(store, settings=settings)

    @app.task("fail", max_retries=0)
    def fail() -> None:
        raise ValueError("secret")

    return app


async def looked(app: FleetQ) -> None:
    """The leader has looked once, so what fails from now on is new."""
    await wait_until_async(lambda: app.store.alerts().alerts)


async def told(app: FleetQ, *lines: str) -> None:
    """Wait until these alerts are listed, and were sent."""
    await wait_until_async(
        lambda: (
            [f"{a.alert} {a.status}" for a in app.alerts(only_raised=False) if a.was_sent]
            == list(lines)
        )
    )


def test_burst_of_dead_letters_is_told_once_over_restarts(
    store: SqliteStore, receiver: Receiver, clock: Clock
) -> None:
    async def main() -> None:
        app = app_of(store, receiver)
        async with app.running():
            await looked(app)
            for _ in range(3):
                app.submit({"task_type": "fail"})
            await told(app, "dead_letters raised")
        app = app_of(store, receiver, "pod-2")
        async with app.running():
            app.submit({"task_type": "fail"})
            await wait_until_async(lambda: app.alerts()[0].count == 4)
            clock.now += 301 * 1_000_000
            await told(app, "dead_letters resolved")

    asyncio.run(main())
    raised, resolved = receiver.bodies
    ((path, headers, _), _) = receiver.requests
    assert path == SECRET
    assert headers["Content-Type"] == "application/json"
    assert headers["Idempotency-Key"] == raised["id"]
    assert (raised["status"], resolved["status"]) == ("raised", "resolved")
    assert (raised["alert"], resolved["count"], raised["pod_id"]) == ("dead_letters", 4, "pod-1")
    assert raised["incident"] == resolved["incident"]
    assert raised["id"] != resolved["id"]
    assert raised["task_type"] == "fail"
    assert "dead letter" in raised["text"]
    assert "secret" not in json.dumps(receiver.bodies)


@pytest.mark.parametrize("status", [500, 302, 404])
def test_alert_that_is_not_accepted_is_sent_again(
    store: SqliteStore,
    receiver: Receiver,
    clock: Clock,
    status: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    receiver.statuses = [status]

    async def main() -> None:
        app = app_of(store, receiver)
        async with app.running():
            await looked(app)
            app.submit({"task_type": "fail"})
            await wait_until_async(lambda: "alert not sent" in caplog.text)
            assert not app.alerts()[0].was_sent
            clock.now += 61 * 1_000_000
            await told(app, "dead_letters raised")

    asyncio.run(main())
    one, other = receiver.bodies
    assert one == other
    assert [path for path, _, _ in receiver.requests] == [SECRET, SECRET]
    assert wait_for_handlers(LIMIT)
    assert f"the webhook answered {status}" in caplog.text
    assert "geheim" not in caplog.text


def test_webhook_that_hangs_harms_no_pod(store: SqliteStore, receiver: Receiver) -> None:
    receiver.may_answer.clear()

    async def main() -> None:
        app = app_of(store, receiver)

        @app.task("work")
        def work() -> int:
            return 1

        async with app.running():
            await looked(app)
            app.submit({"task_type": "fail"})
            await wait_until_async(lambda: receiver.requests)
            step_id = work.submit()
            await wait_until_async(lambda: app.status(step_id).is_final)
            assert not app.alerts()[0].was_sent

    asyncio.run(main())


def test_webhook_that_is_away_is_logged_without_its_path(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    sent: list[Alert] = []
    sender = alert_sender.AlertSender("http://127.0.0.1:1" + SECRET, "pod-1", "memory")
    sender.on_told = sent.append
    sender._send(Alert("oldest:q"))
    assert not sent
    assert wait_for_handlers(LIMIT)
    assert "the webhook cannot be reached" in caplog.text
    assert "geheim" not in caplog.text


@pytest.mark.parametrize(
    "url", ["host.example", "ftp://x/y", "http://", "http://a b/", "http://u:p@x/", "http://x:y/"]
)
def test_address_that_is_no_webhook_is_rejected_and_not_shown(url: str) -> None:
    with pytest.raises(InvalidInput, match=r"^FLEET_Q_ALERT_WEBHOOK=\*\*\*: it must be") as error:
        from_env({"FLEET_Q_ALERT_WEBHOOK": url})
    assert url not in str(error.value)


def test_settings_show_the_webhook_without_its_path() -> None:
    settings = Settings(alert_webhook=f"https://hooks.example.com:8443{SECRET}")
    assert "alert_webhook='https://hooks.example.com:8443/***'" in repr(settings)
    assert "geheim" not in repr(settings)


def detail(**values: Any) -> str:
    return json.dumps(values)


@pytest.mark.parametrize(
    ("alert", "details", "text"),
    [
        (
            "dead_letters",
            {"count": 1, "step_id": "s", "queue": "q"},
            "1 dead letter: step s of no task type in queue 'q'. They are listed"
            " by: fleet-q dlq list",
        ),
        (
            "unserved:q/t",
            {"queue": "q", "task_type": "t", "from_ts": BEGIN},
            "no live pod takes steps of task 't' in queue 'q', which wait since"
            " 2026-09-21T14:13:20Z",
        ),
        (
            "oldest:q",
            {"queue": "q", "task_type": "t", "from_ts": BEGIN},
            "queue 'q' is behind: its oldest step, one of task 't', waits since"
            " 2026-09-21T14:13:20Z",
        ),
        (
            "schedule:s",
            {"schedule": "s", "from_ts": BEGIN},
            "schedule 's' did not fire: it was due at 2026-09-21T14:13:20Z",
        ),
        (
            "schedule:s",
            {"schedule": "s", "count": 1},
            "schedule 's' did not fire: the step of its last time has not ended",
        ),
    ],
)
def test_text_of_an_alert_says_what_is_wrong(
    alert: str, details: dict[str, Any], text: str
) -> None:
    row = Alert(alert, "raised", BEGIN, detail=detail(**details))
    assert text_of(row) == text
    assert text_of(replace(row, status="resolved")).startswith("resolved: ")


def test_names_in_a_text_are_no_mentions() -> None:
    row = Alert("oldest:q", "raised", BEGIN, detail=detail(queue="<!channel>", from_ts=BEGIN))
    body = notice(row, "pod-1", "memory")
    assert "&lt;!channel&gt;" in body["text"]
    assert body["queue"] == "<!channel>"
    assert body["id"] == "oldest:q@2026-09-21T14:13:20.000000Z/raised"


def test_detail_of_a_newer_version_is_read() -> None:
    assert Alert("x:y", detail='{"new": 1, "count": 2}').details == AlertDetail(count=2)


def test_command_sends_a_test_and_says_how_it_was_answered(
    fleet_q: Command, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = fleet_q("alerts", "test", "--store", "sqlite:///x.db")
    assert (code, "FLEET_Q_ALERT_WEBHOOK is not set" in err) == (1, True)
    monkeypatch.setenv("FLEET_Q_ALERT_WEBHOOK", receiver.url + SECRET)
    fleet_q("submit", '{"task_type": "a"}', "--store", "sqlite:///x.db")
    code, out, _ = fleet_q("alerts", "test", "--store", "sqlite:///x.db")
    assert (code, out) == (0, f"{receiver.url}/*** has accepted a test (HTTP 200)\n")
    assert "a test: alerts arrive here" in receiver.bodies[0]["text"]
    receiver.statuses = [403]
    code, out, err = fleet_q("alerts", "test", "--store", "sqlite:///x.db")
    assert (code, out) == (1, "")
    assert "the webhook answered 403" in err


def test_alerts_are_listed_by_command_and_over_http(
    fleet_q: Command, store: SqliteStore, tmp_path: Path
) -> None:
    raised = Alert("schedule:s", "raised", BEGIN, BEGIN, 2, detail(schedule="s", count=1), 1)
    over = Alert("oldest:q", "resolved", BEGIN, None, 0, detail(queue="q"), 1)
    for row in (raised, over, Alert("dead_letters", version=1)):
        store.write_alert(None, row)
    url = f"sqlite:///{tmp_path}/fleet-q.db"
    code, out, _ = fleet_q("alerts", "list", "--store", url)
    assert code == 0
    assert "schedule 's' did not fire" in out
    assert "oldest" not in out
    _, out, _ = fleet_q("alerts", "list", "--all", "--json", "--store", url)
    assert [each["alert"] for each in json.loads(out)] == ["oldest:q", "schedule:s"]
    client = TestClient(api_of(FleetQ(store, settings=QUICK)))
    (listed,) = client.get("/admin/alerts").json()
    assert (listed["alert"], listed["was_sent"], listed["tries"]) == ("schedule:s", False, 2)
