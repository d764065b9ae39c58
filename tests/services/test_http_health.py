"""``/health`` always answers, and reveals details only to holders of keys."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import msgspec
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from fleet_q import FleetQ
from fleet_q.core.errors import StoreUnavailable
from fleet_q.services.app.queue_stats import QueueStatsView
from fleet_q.services.http.api import create_http
from fleet_q.services.http.health import HealthCheck
from fleet_q.services.worker.careful_log import wait_for_handlers
from tests.services.conftest import QUICK
from tests.waiting import LIMIT, wait_until_async

SECRET = "the file /home/ann/q.db?password=hunter2 is locked"


def in_a_running_pod(app: FleetQ, ask: Callable[[], Any]) -> Any:
    """Return what ``ask`` returns in a thread while a pod of ``app`` runs."""

    async def main() -> Any:
        app.executor(lambda step: None)
        async with app.running():
            await asyncio.to_thread(app.wait, app.submit({}), LIMIT)
            return await asyncio.to_thread(ask)

    return asyncio.run(main())


def test_head_is_answered_like_get_without_a_body(app: FleetQ) -> None:
    http = TestClient(create_http(app))
    for path, expected in (("/health", 503), ("/admin/queue", 200), ("/status/x", 404),
                           ("/docs", 200), ("/openapi.json", 200), ("/nowhere", 404),
                           ("/submit", 405)):  # fmt: skip
        head, get = http.head(path), http.get(path)
        assert (head.status_code, head.content) == (expected, b"")
        assert head.headers["content-length"] == get.headers["content-length"]
    assert http.head("/submit").headers["allow"] == "POST"


def test_head_requires_a_key_where_get_does() -> None:
    app = FleetQ("memory://", settings=msgspec.structs.replace(QUICK, api_keys=("key",)))
    http = TestClient(create_http(app))
    assert http.head("/admin/queue").status_code == 401
    assert http.head("/admin/queue", headers={"X-API-Key": "key"}).status_code == 200
    assert http.head("/health").status_code == 503


def test_reason_of_a_failing_store_is_shown_only_in_the_log_and_to_key_holders(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = FleetQ("memory://", settings=msgspec.structs.replace(QUICK, api_keys=("key",)))
    http = TestClient(create_http(app))

    def refuse() -> None:
        raise StoreUnavailable(SECRET)

    def ask() -> list[dict[str, Any]]:
        monkeypatch.setattr(app.store, "change_counter", refuse)
        keys: list[dict[str, str]] = [{}, {"X-API-Key": "wrong"}, {"X-API-Key": "key"}, {}]
        answers = [http.get("/health", headers=headers) for headers in keys]
        assert [answer.status_code for answer in answers] == [503] * 4
        monkeypatch.undo()
        return [answer.json()["detail"] for answer in answers]

    general, full = "the store does not answer", f"the store does not answer: {SECRET}"
    assert in_a_running_pod(app, ask) == [general, general, full, general]
    assert wait_for_handlers(LIMIT)
    logged = [record.getMessage() for record in caplog.records if "healthy" in record.getMessage()]
    assert logged == [f"not healthy: {full}"]


def test_details_of_a_pods_trouble_require_a_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = FleetQ("memory://", settings=msgspec.structs.replace(QUICK, api_keys=("key",)))
    http = TestClient(create_http(app))

    def ask() -> list[Any]:
        assert app.pod is not None
        monkeypatch.setattr(type(app.pod), "trouble", SECRET)
        answers = [http.get("/health", headers=headers) for headers in ({}, {"X-API-Key": "key"})]
        monkeypatch.undo()
        assert [answer.status_code for answer in answers] == [503, 503]
        return [answer.json()["detail"] for answer in answers]

    assert in_a_running_pod(app, ask) == ["the pod cannot do all its work", SECRET]


def test_draining_pod_is_unhealthy(app: FleetQ) -> None:
    at_work, go_on = threading.Event(), threading.Event()

    @app.task("slow")
    def slow() -> None:
        at_work.set()
        go_on.wait(LIMIT)

    http = TestClient(create_http(app))

    async def main() -> Any:
        slow.submit()
        async with app.running() as pod:
            await asyncio.to_thread(at_work.wait, LIMIT)
            pod.drain()
            await wait_until_async(lambda: pod.is_draining)
            answer = await asyncio.to_thread(http.get, "/health")
            go_on.set()
        return answer.status_code, answer.json()["detail"]

    assert asyncio.run(main()) == (503, "the pod is draining")


def test_a_blocked_event_loop_is_unhealthy(app: FleetQ) -> None:
    at_work, go_on = threading.Event(), threading.Event()
    answers: list[Any] = []

    @app.task("blocking")
    async def blocking() -> None:
        at_work.set()
        go_on.wait(LIMIT)

    def ask() -> None:
        at_work.wait(LIMIT)
        check = HealthCheck(app, within=0.01)
        answers.extend(asyncio.run(check.trouble()) for _ in range(3))
        go_on.set()

    async def main() -> None:
        asking = threading.Thread(target=ask)
        asking.start()
        async with app.running():
            await asyncio.to_thread(app.wait, blocking.submit(), LIMIT)
        asking.join()

    asyncio.run(main())
    assert [answer.general for answer in answers] == [
        "an async function blocks the pod's event loop"
    ] * 3


def test_hanging_store_is_called_once_for_many_requests(
    app: FleetQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, asked = threading.Event(), []

    def hang() -> int:
        asked.append(1)
        go_on.wait(LIMIT)
        return 0

    def ask() -> list[Any]:
        monkeypatch.setattr(app.store, "change_counter", hang)
        check = HealthCheck(app, within=0.01)

        async def crowd() -> list[Any]:
            return await asyncio.gather(*(check._store_trouble() for _ in range(20)))

        try:
            return asyncio.run(crowd())
        finally:
            go_on.set()
            monkeypatch.undo()

    assert {trouble.general for trouble in in_a_running_pod(app, ask)} == {
        "the store does not answer"
    }
    assert asked == [1]


def test_health_is_answered_while_every_worker_thread_waits_for_the_store(
    app: FleetQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    service = create_http(app)
    stats = app.queue_stats()

    def hang() -> QueueStatsView:
        go_on.wait(LIMIT)
        return stats

    async def main() -> int:
        app.executor(lambda step: None)
        async with app.running():
            await asyncio.to_thread(app.wait, app.submit({}), LIMIT)
            monkeypatch.setattr(app, "queue_stats", hang)
            stuck = [asyncio.ensure_future(call(service, "/admin/queue")) for _ in range(60)]
            status = await call(service, "/health")
            go_on.set()
            await asyncio.gather(*stuck)
            return status

    assert asyncio.run(main()) == 200


async def call(service: FastAPI, path: str) -> int:
    """Return the status of a GET, without a server."""
    status: Future[int] = Future()
    scope: dict[str, Any] = {
        "type": "http",
        "scheme": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [],
        "server": None,
        "client": None,
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            status.set_result(message["status"])

    await service(scope, receive, send)
    return status.result()


def test_unexpected_error_is_json_without_details(
    app: FleetQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(app, "queue_stats", fail)
    answer = TestClient(create_http(app), raise_server_exceptions=False).get("/admin/queue")
    assert answer.status_code == 500
    assert answer.json() == {"detail": "the request failed in the pod; see its log"}


@pytest.mark.parametrize("step_id", ["a\nb", "\x1b[31m", "\u2028"])
def test_an_error_is_one_line_whatever_the_id(app: FleetQ, step_id: str) -> None:
    app.submit({"a": 1}, step_id=step_id)
    body = {"payload": {"a": 2}, "step_id": step_id}
    answer = TestClient(create_http(app)).post("/submit", json=body)
    assert answer.status_code == 409
    assert answer.json()["detail"].isprintable()


def test_details_of_a_pods_trouble_are_not_for_the_role_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = ("wall=read:1", "auditor=read+payloads:2")
    app = FleetQ("memory://", settings=msgspec.structs.replace(QUICK, api_keys=keys))
    http = TestClient(create_http(app))

    def ask() -> list[Any]:
        monkeypatch.setattr(type(app.pod), "trouble", SECRET)
        answers = [http.get("/health", headers={"X-API-Key": key}) for key in ("1", "2")]
        monkeypatch.undo()
        return [answer.json()["detail"] for answer in answers]

    assert in_a_running_pod(app, ask) == ["the pod cannot do all its work", SECRET]
