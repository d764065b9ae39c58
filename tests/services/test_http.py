"""The HTTP API: the quickstart's endpoints with its fields, and every wrong input."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from fleet_q import FleetQ
from fleet_q.core.errors import StoreError, StoreUnavailable, UnknownToThisVersion
from fleet_q.core.lifecycle import STEP_STATUSES
from fleet_q.services.http.api import create_http
from fleet_q.services.worker.careful_log import wait_for_handlers
from tests.services.conftest import QUICK, api_of, ended
from tests.waiting import LIMIT

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def http(app: FleetQ) -> TestClient:
    return TestClient(api_of(app))


def test_submit_answers_with_the_quickstarts_fields(http: TestClient, app: FleetQ) -> None:
    body = {"payload": {"task_type": "process_data", "file": "data.csv"}, "priority": 1}
    answer = http.post("/submit", json=body)
    assert answer.status_code == 200
    step_id = answer.json()["step_id"]
    assert answer.json() == {"step_id": step_id, "status": "submitted"}
    assert step_id.startswith("step-")
    assert app.status(step_id).payload == body["payload"]


def test_submit_takes_queue_key_labels_and_timeout(http: TestClient, app: FleetQ) -> None:
    options = {"queue": "gpu", "key": "c7", "labels": {"day": "2026-11-28"}, "timeout": 1.5}
    step_id = http.post("/submit", json={"payload": {"task_type": "t"}, **options}).json()[
        "step_id"
    ]
    step = http.get(f"/status/{step_id}").json()
    assert {name: step[name] for name in options} == options
    assert step["task_type"] == "t"
    batch = {"steps": [{"payload": {}, **options}]}
    (step_id,) = http.post("/submit/batch", json=batch).json()["step_ids"]
    assert app.status(step_id).queue == "gpu"


@pytest.mark.parametrize(
    "wrong",
    [
        {"queue": "a,b"},
        {"queue": None},
        {"key": ""},
        {"labels": {"a": 1}},
        {"labels": {"a=b": "1"}},
        {"timeout": 0},
        {"timeout": True},
    ],
)
def test_submit_rejects_an_invalid_queue_key_label_or_timeout(
    http: TestClient, wrong: dict[str, object]
) -> None:
    assert http.post("/submit", json={"payload": {}, **wrong}).status_code == 422


def test_status_has_the_quickstarts_fields(http: TestClient, app: FleetQ) -> None:
    @app.task("t")
    def t() -> int:
        return 5

    step_id = t.options(priority=1).submit()
    asyncio.run(ended(app, [step_id]))
    step = http.get(f"/status/{step_id}").json()
    expected = {
        "step_id": step_id,
        "status": "completed",
        "claimed_by": "pod-1",
        "payload": {"task_type": "t"},
        "retry_count": 0,
        "priority": 1,
        "result": 5,
        "error": None,
    }
    assert {key: step[key] for key in expected} == expected
    for field in ("created_ts", "last_update_ts"):
        assert len(step[field]) == len("2026-01-17 12:34:56")


def test_queue_counts_every_status(http: TestClient) -> None:
    for number in range(3):
        http.post("/submit", json={"payload": {"n": number}})
    counts = http.get("/admin/queue").json()
    assert {status: counts[status] for status in STEP_STATUSES} == {
        "pending": 3, "waiting": 0, "claimed": 0, "completed": 0, "failed": 0, "cancelled": 0,
    }  # fmt: skip


def test_leader_health_pods_and_recovery_of_a_pod_that_runs(app: FleetQ) -> None:
    async def main() -> None:
        app.executor(lambda step: None)
        async with app.running():
            await asyncio.to_thread(app.wait, app.submit({}), LIMIT)
            await asyncio.to_thread(ask)

    def ask() -> None:
        http = TestClient(create_http(app))
        assert http.get("/health").json() == {"status": "ok", "pod_id": "pod-1", "detail": None}
        assert http.get("/admin/leader").json() == {
            "leader_pod_id": "pod-1",
            "this_pod_id": "pod-1",
            "is_leader": True,
            "total_alive_pods": 1,
            "alive_pods": ["pod-1"],
        }
        (pod,) = http.get("/admin/pods").json()
        assert (pod["pod_id"], pod["status"], pod["leader"]) == ("pod-1", "up", True)
        assert (pod["slots"], pod["queues"], pod["task_types"]) == (6, None, None)
        assert http.post("/admin/recovery/run").json() == {
            "message": "Recovery cycle completed successfully",
            "stats": {
                "dead_pods": 0, "total_orphans": 0, "resubmitted": 0, "terminal_failures": 0,
            },
        }  # fmt: skip

    asyncio.run(main())


def test_without_a_pod_health_is_503_and_recovery_is_rejected(http: TestClient) -> None:
    assert http.get("/health").status_code == 503
    refused = http.post("/admin/recovery/run")
    assert (refused.status_code, "is not the leader" in refused.json()["detail"]) == (409, True)


def test_health_uses_no_warehouse(app: FleetQ, monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe that used a Snowflake warehouse would keep it from suspending."""

    def refuse(*_: object) -> None:
        raise StoreUnavailable("this would wake the warehouse")

    async def main() -> None:
        app.executor(lambda step: None)
        async with app.running():
            await asyncio.to_thread(app.wait, app.submit({}), LIMIT)
            http = TestClient(create_http(app))
            monkeypatch.setattr(app.store, "pods", refuse)
            assert (await asyncio.to_thread(http.get, "/health")).status_code == 200
            monkeypatch.setattr(app.store, "change_counter", refuse)
            answer = await asyncio.to_thread(http.get, "/health")
            assert answer.status_code == 503
            assert "the store does not answer" in answer.json()["detail"]
            monkeypatch.undo()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("error", "status", "retry_after", "general"),
    [
        (StoreUnavailable("/srv/q.db: locked"), 503, "1", "the store does not answer; try again"),
        (StoreError("/srv/q.db: broken"), 500, None, "the store failed; see the pod's log"),
        (
            UnknownToThisVersion("event 2 of step 'x' is 'paused'"),
            500,
            None,
            "event 2 of step 'x' is 'paused', which this version does not know; upgrade fleet-q",
        ),
    ],
)
def test_store_errors_are_shown_only_in_the_log_and_to_key_holders(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: BaseException,
    status: int,
    retry_after: str | None,
    general: str,
) -> None:
    for keys, told in (((), general), (("key",), str(error))):
        app = FleetQ("memory://", settings=msgspec.structs.replace(QUICK, api_keys=keys))
        monkeypatch.setattr(app.store, "queue_stats", _raising(error))
        with TestClient(create_http(app)) as http:
            answer = http.get("/admin/queue", headers={"X-API-Key": "key"})
        assert (answer.status_code, answer.json()) == (status, {"detail": told})
        assert answer.headers.get("Retry-After") == retry_after
    assert wait_for_handlers(LIMIT)
    assert caplog.text.count(str(error)) == (general != str(error))


def _raising(error: BaseException) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail


def test_illegal_transition_is_a_409(http: TestClient, app: FleetQ) -> None:
    app.task("fail", max_retries=0)(lambda: 1 / 0)
    step_id = app.submit({"task_type": "fail"})
    asyncio.run(ended(app, [step_id]))
    refused = http.post(f"/steps/{step_id}/cancel")
    assert (refused.status_code, refused.json()["detail"]) == (
        409, f"step {step_id!r} is failed and cannot be cancelled",
    )  # fmt: skip
    pending = app.submit({})
    replay = {"step_ids": [step_id, pending]}
    assert http.post("/admin/dlq/replay", json=replay).status_code == 409
    assert app.status(step_id).status == "failed"


def test_batch_history_and_cancel(http: TestClient) -> None:
    body = {"steps": [{"payload": {"n": 1}}, {"payload": {"n": 2}, "step_id": "a/b c"}]}
    ids = http.post("/submit/batch", json=body).json()["step_ids"]
    assert ids[1] == "a/b c"
    assert http.post("/steps/a/b c/cancel").json()["status"] == "cancelled"
    history = http.get("/steps/a/b c/history").json()
    assert [event["type"] for event in history] == ["submitted", "cancelled"]
    assert history[0]["data"]["payload"] == {"n": 2}


def test_batch_is_stored_completely_or_not_at_all(http: TestClient, app: FleetQ) -> None:
    http.post("/submit", json={"payload": {}, "step_id": "taken"})
    for bad in ({"payload": {"x": 1}, "step_id": "taken"}, {"payload": 5}):
        answer = http.post("/submit/batch", json={"steps": [{"payload": {}}, bad]})
        assert answer.status_code in (409, 422)
    assert app.queue()["pending"] == 1


def test_dead_letters_are_listed_and_replayed(http: TestClient, app: FleetQ) -> None:
    app.task("fail", max_retries=0)(lambda: 1 / 0)
    ids = [app.submit({"task_type": "fail"}) for _ in range(3)]
    asyncio.run(ended(app, ids))
    page = http.get("/admin/dlq", params={"limit": 2}).json()
    rest = http.get("/admin/dlq", params={"limit": 2, "before": page["before"]}).json()
    assert {step["step_id"] for step in page["steps"] + rest["steps"]} == set(ids)
    assert "ZeroDivisionError" in page["steps"][0]["error"]
    replayed = http.post("/admin/dlq/replay", json={"step_ids": [ids[0]]})
    assert replayed.json() == {"replayed": 1}
    assert http.post("/admin/dlq/replay", json={"all": True}).json() == {"replayed": 2}
    assert app.queue()["pending"] == 3
    assert http.post("/admin/dlq/replay", json={}).status_code == 422
    assert http.post("/admin/dlq/replay", json={"step_ids": ["x"], "all": True}).status_code == 422
    assert http.post("/admin/dlq/replay", json={"step_ids": ["x"]}).status_code == 404
    half = b'{"step_ids": ["\\ud800"]}'
    assert http.post("/admin/dlq/replay", content=half, headers=JSON).status_code == 422


WRONG = {
    "not JSON": b"{nope",
    "empty": b"",
    "not an object": b"[1]",
    "not UTF-8": b'{"payload": {"a": "\xff"}}',
    "no payload": b"{}",
    "payload is a list": b'{"payload": []}',
    "payload is null": b'{"payload": null}',
    "NaN": b'{"payload": {"a": NaN}}',
    "infinity": b'{"payload": {"a": 1e999}}',
    "half a surrogate pair": b'{"payload": {"a": "\\ud800"}}',
    "nested too deep": b'{"payload": {"a": ' + b"[" * 201 + b"]" * 201 + b"}}",
    "nested far too deep": b'{"payload": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "too many digits": b'{"payload": {"a": ' + b"9" * 5000 + b"}}",
    "priority is a text": b'{"payload": {}, "priority": "1"}',
    "priority is a fraction": b'{"payload": {}, "priority": 1.5}',
    "priority is true": b'{"payload": {}, "priority": true}',
    "priority is NaN": b'{"payload": {}, "priority": NaN}',
    "priority is huge": b'{"payload": {}, "priority": 9999999999}',
    "delay is negative": b'{"payload": {}, "delay": -1}',
    "delay is NaN": b'{"payload": {}, "delay": NaN}',
    "max_retries is negative": b'{"payload": {}, "max_retries": -1}',
    "step_id is empty": b'{"payload": {}, "step_id": ""}',
    "step_id is too long": b'{"payload": {}, "step_id": "' + b"x" * 201 + b'"}',
    "step_id is a number": b'{"payload": {}, "step_id": 5}',
    "a field that does not exist": b'{"payload": {}, "prioritty": 1}',
    "a field that cannot exist": b'{"payload": {}, "\\ud800": 1}',
}


def test_validation_answer_names_at_most_ten_problems(http: TestClient) -> None:
    body: dict[str, object] = {"payload": {}} | {f"key{number}": 0 for number in range(1_000)}
    detail = http.post("/submit", json=body).json()["detail"]
    assert detail.count("Extra inputs") == 10
    assert detail.endswith("; and 990 more")


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG)
def test_invalid_input_is_a_4xx_and_stores_nothing(
    http: TestClient, app: FleetQ, body: bytes
) -> None:
    answer = http.post("/submit", content=body, headers=JSON)
    assert answer.status_code in (400, 422)
    detail = answer.json()["detail"]
    assert isinstance(detail, str)
    assert detail
    assert "\n" not in detail
    assert "error parsing" not in detail
    assert sum(app.queue().values()) == 0


def test_too_large_body_is_a_413_with_and_without_content_length(app: FleetQ) -> None:
    app.use(settings=msgspec.structs.replace(QUICK, max_payload_bytes=1000))
    http = TestClient(create_http(app))
    body = json.dumps({"payload": {"a": "x" * 1000}}).encode()
    announced = http.post("/submit", content=body, headers=JSON)
    chunked = http.post("/submit", content=iter([body[:500], body[500:]]), headers=JSON)
    for answer in (announced, chunked):
        assert (answer.status_code, "1000 bytes" in answer.json()["detail"]) == (413, True)
    assert sum(app.queue().values()) == 0


def test_same_id_is_accepted_again_only_with_the_same_payload(http: TestClient) -> None:
    body = {"payload": {"a": 1}, "step_id": "mine"}
    assert [http.post("/submit", json=body).status_code for _ in range(2)] == [200, 200]
    assert http.post("/submit", json={**body, "payload": {"a": 2}}).status_code == 409


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/status/nobody", 404),
        ("GET", "/steps/nobody/history", 404),
        ("POST", "/steps/nobody/cancel", 404),
        ("GET", "/nowhere", 404),
        ("GET", "/submit", 405),
        ("GET", "/admin/dlq?limit=0", 422),
        ("GET", "/admin/dlq?before=x", 422),
        ("GET", "/admin/dlq?before=%C2%B2:x", 422),
        ("GET", "/admin/dlq?before=99999999999999999999:x", 422),
        ("GET", "/status/%00", 422),
        ("GET", "/status/", 422),
        ("GET", "/status/" + "x" * 201, 422),
        ("GET", "/submit/", 404),
        ("GET", "/health/", 404),
        ("PUT", "/health", 405),
        ("TRACE", "/health", 405),
    ],
)
def test_unknown_paths_steps_and_methods_have_their_status(
    http: TestClient, method: str, path: str, status: int
) -> None:
    answer = http.request(method, path)
    assert answer.status_code == status
    assert isinstance(answer.json()["detail"], str)


ENDPOINTS = [
    (method.upper(), path.format(step_id="x", workflow_id="x", name="x"))
    for path, methods in create_http(FleetQ("memory://", settings=QUICK)).openapi()["paths"].items()
    for method in methods
]


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_keys_are_required_for_everything_but_health(app: FleetQ, method: str, path: str) -> None:
    app.use(settings=msgspec.structs.replace(QUICK, api_keys=("first", "second")))
    http = TestClient(api_of(app))
    wrong: tuple[dict[str, Any], ...] = (
        {},
        {"X-API-Key": "wrong"},
        {"Authorization": "Bearer firs"},
        {"X-API-Key": b"\xe9"},
    )
    right = ({"X-API-Key": "first"}, {"Authorization": "bearer second"})
    for headers in wrong:
        answer = http.request(method, path, content=b"{nope", headers=JSON | headers)
        assert (answer.status_code == 401) == (path != "/health")
    for headers in right:
        answer = http.request(method, path, content=b"{}", headers=JSON | headers)
        assert answer.status_code != 401
    assert sum(app.queue().values()) == 0


@pytest.mark.parametrize("api_keys", [(), ("key",)])
def test_openapi_describes_keys_only_if_required(
    app: FleetQ, api_keys: tuple[Any, ...] | tuple[str, ...]
) -> None:
    app.use(settings=msgspec.structs.replace(QUICK, api_keys=api_keys))
    description = TestClient(create_http(app)).get("/openapi.json").json()
    assert ("securitySchemes" in description["components"]) == bool(api_keys)
    for path, methods in description["paths"].items():
        for described in methods.values():
            keys = {name for each in described.get("security", []) for name in each}
            is_locked = bool(api_keys) and path != "/health"
            assert keys == ({"APIKeyHeader", "HTTPBearer"} if is_locked else set())
            assert ("401" in described["responses"]) == is_locked


def test_openapi_describes_limits_and_error_statuses(http: TestClient) -> None:
    description = http.get("/openapi.json").json()
    submit = description["components"]["schemas"]["SubmitRequest"]["properties"]
    (step_id,) = (each for each in submit["step_id"]["anyOf"] if each["type"] == "string")
    assert (step_id["minLength"], step_id["maxLength"]) == (1, 200)
    assert (submit["priority"]["minimum"], submit["delay"]["minimum"]) == (1 - 2**31, 0)
    (path_id,) = description["paths"]["/status/{step_id}"]["get"]["parameters"]
    assert (path_id["schema"]["minLength"], path_id["schema"]["maxLength"]) == (1, 200)
    assert set(description["paths"]["/submit"]["post"]["responses"]) == {
        "200", "400", "403", "409", "413", "415", "422", "503",
    }  # fmt: skip
    assert set(description["paths"]["/admin/queue"]["get"]["responses"]) == {"200", "400", "503"}


@pytest.mark.parametrize("step_id", ["a\nb", "\n", "ends\n", "a/history", "?#", "é😀", " x "])
def test_status_and_history_accept_any_id(http: TestClient, step_id: str) -> None:
    assert http.post("/submit", json={"payload": {}, "step_id": step_id}).status_code == 200
    part = quote(step_id, safe="")
    assert http.get(f"/status/{part}").json()["step_id"] == step_id
    assert http.get(f"/steps/{part}/history").json()[0]["type"] == "submitted"
    assert http.post(f"/steps/{part}/cancel").json()["status"] == "cancelled"


def test_openapi_describes_every_endpoint(http: TestClient) -> None:
    paths = http.get("/openapi.json").json()["paths"]
    assert set(paths) == {
        "/health", "/submit", "/submit/batch", "/status/{step_id}", "/steps/{step_id}/history",
        "/steps", "/steps/cancel", "/steps/replay", "/steps/set-priority",
        "/steps/{step_id}/cancel", "/admin/queue", "/admin/leader", "/admin/pods",
        "/admin/alerts", "/admin/audit", "/admin/recovery/run", "/admin/dlq", "/admin/dlq/replay",
        "/queues", "/queues/{name}",
        "/queues/{name}/pause", "/queues/{name}/resume", "/queues/{name}/history",
        "/schedules", "/schedules/{name}", "/schedules/{name}/pause", "/schedules/{name}/resume",
        "/schedules/{name}/trigger", "/schedules/{name}/next", "/schedules/{name}/history",
        "/workflows/{workflow_id}", "/workflows/{workflow_id}/cancel",
        "/workflows/{workflow_id}/retry", "/metrics",
    }  # fmt: skip
    assert http.get("/docs").status_code == 200


def test_api_can_be_mounted_in_another_fastapi_app(app: FleetQ) -> None:
    @app.task("greet")
    async def greet(name: str) -> str:
        return f"hello {name}"

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with app.running():
            yield

    service = FastAPI(lifespan=lifespan)
    service.mount("/queue", create_http(app))
    with TestClient(service) as http:
        submitted = http.post(
            "/queue/submit", json={"payload": {"task_type": "greet", "name": "A"}}
        )
        app.wait(submitted.json()["step_id"], LIMIT)
        status = http.get(f"/queue/status/{submitted.json()['step_id']}").json()
    assert status["result"] == "hello A"
