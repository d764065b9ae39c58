"""Claims of clients over HTTP: leases, tokens, and repeated and late requests."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from msgspec.structs import replace
from starlette.testclient import TestClient

from fleet_q import FleetQ
from fleet_q.adapters.memory import MemoryStore
from fleet_q.core.errors import StoreUnavailable
from fleet_q.core.ports import SyncRequest, SyncResult
from fleet_q.core.step import SaveCheckpoint
from fleet_q.services.http import leases as lease_routes
from fleet_q.services.http.lease_models import LONGEST_WAIT
from fleet_q.services.worker.careful_log import wait_for_handlers
from tests.services.conftest import QUICK, api_of
from tests.waiting import LIMIT, wait_until


class Client(TestClient):
    """A client of a pod whose steps it claims."""

    def claim(self, n: int = 1, wait: float | None = None, **options: Any) -> list[dict[str, Any]]:
        """Claim with one request that waits so long, or until there is a step."""
        if wait is None:
            return wait_until(lambda: self.claim(n, LONGEST_WAIT, **options))
        answer = self.post("/claim", json={"n": n, "wait": wait, **options})
        assert answer.status_code == 200, answer.text
        steps: list[dict[str, Any]] = answer.json()["steps"]
        return steps

    def end(self, step: dict[str, Any], how: str, **body: Any) -> tuple[int, Any]:
        path = f"/steps/{step['step_id']}/{how}"
        answer = self.post(path, json={"claim_token": step["claim_token"], **body})
        return answer.status_code, answer.json()


@pytest.fixture
def client(app: FleetQ) -> Iterator[Client]:
    with app.leasing() as pod:
        yield Client(api_of(app, lease=True))
        pod.drain(0)


def test_client_claims_and_completes_a_step(client: Client, app: FleetQ) -> None:
    step_id = app.submit(
        {"task_type": "resize", "file": "a.png"}, queue="images", key="c7", labels={"day": "1"}
    )
    (step,) = client.claim()
    token = step.pop("claim_token")
    assert step == {
        "step_id": step_id,
        "payload": {"task_type": "resize", "file": "a.png"},
        "task_type": "resize",
        "queue": "images",
        "key": "c7",
        "labels": {"day": "1"},
        "priority": 0,
        "attempt": 1,
        "max_retries": 3,
        "saved": None,
    }
    assert app.status(step_id).claimed_by == "pod-1"
    answer = client.end({**step, "claim_token": token}, "complete", result={"width": 5})
    assert answer == (200, {"step_id": step_id, "status": "completed"})
    assert app.status(step_id).result == {"width": 5}


def test_client_gets_as_many_steps_as_it_asks_for(client: Client, app: FleetQ) -> None:
    ids = app.submit_many([{}] * 5)
    assert [step["step_id"] for step in client.claim(3)] == ids[:3]
    assert [step["step_id"] for step in client.claim(10)] == ids[3:]
    assert client.claim(10, wait=0) == []
    assert client.claim(10, wait=0.01) == []


def test_pod_of_some_types_and_queues_leases_no_other_steps(app: FleetQ) -> None:
    app.submit({"task_type": "load"}, queue="images")
    app.submit({"task_type": "resize"})
    app.submit({"task_type": "resize"}, queue="images")
    some = FleetQ(app.store, settings=replace(QUICK, queues=("images",)))
    with some.leasing(["resize"]) as pod:
        (step,) = Client(api_of(some, lease=True)).claim(10)
        assert (step["task_type"], step["queue"]) == ("resize", "images")
        pod.drain(0)


def test_client_claims_only_steps_of_the_queues_and_types_that_it_names(
    client: Client, app: FleetQ
) -> None:
    app.submit({"task_type": "load"}, queue="images")
    app.submit({"task_type": "resize"})
    wanted = app.submit({"task_type": "resize"}, queue="images")
    typeless = app.submit({"file": "a"})
    only: dict[str, Any] = {"queues": ["images"], "task_types": ["resize"]}
    (step,) = client.claim(10, **only)
    assert step["step_id"] == wanted
    assert client.claim(10, wait=0, **only) == []
    assert [step["step_id"] for step in client.claim(10, task_types=[""])] == [typeless]
    assert len(client.claim(10)) == 2
    assert [event.type for event in app.history(wanted)] == ["submitted", "claimed"]


def test_waiting_clients_get_the_steps_that_they_know_and_no_others(
    client: Client, app: FleetQ
) -> None:
    kinds = ["python", "go", "shell"]
    with ThreadPoolExecutor() as threads:
        claims = {kind: threads.submit(client.claim, 10, task_types=[kind]) for kind in kinds}
        unknown = app.submit({"task_type": "rust"}, priority=5)
        for kind in reversed(kinds):
            step_id = app.submit({"task_type": kind})
            assert [step["step_id"] for step in claims[kind].result(LIMIT)] == [step_id]
    assert [event.type for event in app.history(unknown)] == ["submitted"]


def test_client_without_steps_is_answered_while_others_have_many(
    client: Client, app: FleetQ
) -> None:
    app.submit({"task_type": "many"})
    begun, over = threading.Event(), threading.Event()

    def claim_and_release() -> None:
        while not over.is_set():
            (step,) = client.claim(task_types=["many"])
            client.end(step, "release")
            begun.set()

    with ThreadPoolExecutor() as threads:
        other = threads.submit(claim_and_release)
        assert begun.wait(LIMIT)
        try:
            idle = threads.submit(client.claim, wait=0.05, task_types=["rare"])
            assert idle.result(LIMIT) == []
            assert not other.done()
        finally:
            over.set()
        other.result(LIMIT)


def test_client_names_types_in_any_order(client: Client, app: FleetQ) -> None:
    with ThreadPoolExecutor() as threads:
        first = threads.submit(client.claim, task_types=["a", "b", "a"])
        second = threads.submit(client.claim, task_types=["b", "a"])
        ids = app.submit_many([{"task_type": "a"}, {"task_type": "b"}])
        steps = first.result(LIMIT) + second.result(LIMIT)
    assert {step["step_id"] for step in steps} == set(ids)


def test_claim_of_what_the_pod_never_claims_is_refused(app: FleetQ) -> None:
    some = FleetQ(app.store, settings=replace(QUICK, queues=("images", "gpu")))
    step_id = app.submit({"task_type": "resize"}, queue="gpu")
    app.submit({"task_type": "load"}, queue="gpu")
    with some.leasing(["resize", "crop"]) as pod:
        client = Client(api_of(some, lease=True))
        for body, message in [
            ({"queues": ["mail"]}, "this pod claims only the queues images, gpu"),
            ({"task_types": ["load"]}, "this pod claims only the task types resize, crop"),
        ]:
            answer = client.post("/claim", json=body)
            assert (answer.status_code, answer.json()["detail"]) == (422, message)
        steps = client.claim(10, queues=["gpu", "mail"], task_types=["load", "resize"])
        assert [step["step_id"] for step in steps] == [step_id]
        pod.drain(0)


def test_pod_of_steps_without_a_type_says_so(app: FleetQ, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), app.leasing(["", "resize"]) as pod:
        answer = Client(api_of(app, lease=True)).post("/claim", json={"task_types": ["load"]})
        assert answer.json()["detail"] == 'this pod claims only the task types "", resize'
        pod.drain(0)
    assert wait_for_handlers(LIMIT)
    assert 'task types: "", resize, queues: all' in caplog.text


def test_claim_waits_for_a_step(client: Client, app: FleetQ) -> None:
    with ThreadPoolExecutor() as threads:
        claiming = threads.submit(client.claim)
        step_id = app.submit({})
        assert claiming.result(LIMIT)[0]["step_id"] == step_id


@pytest.mark.parametrize(
    ("permanent", "status"), [(False, "pending"), (True, "failed")], ids=["retried", "for good"]
)
def test_client_fails_a_step(client: Client, app: FleetQ, permanent: bool, status: str) -> None:
    step_id = app.submit({})
    (step,) = client.claim()
    code, answer = client.end(step, "fail", error="no such file", permanent=permanent)
    assert (code, answer["status"]) == (200, "failed")
    assert (app.status(step_id).status, app.status(step_id).error) == (status, "no such file")


def test_client_releases_a_step(client: Client, app: FleetQ) -> None:
    step_id = app.submit({}, max_retries=0)
    (step,) = client.claim()
    assert client.end(step, "release")[0] == 200
    (step,) = client.claim()
    assert client.end(step, "release", delay=3600)[0] == 200
    assert client.claim(wait=0) == []
    assert (app.status(step_id).status, app.status(step_id).retry_count) == ("pending", 0)


def test_client_puts_a_step_off_as_often_as_the_setting_allows(app: FleetQ) -> None:
    app.use(settings=replace(QUICK, max_snoozes=1))
    step_id = app.submit({}, max_retries=0)
    with app.leasing() as pod:
        client = Client(api_of(app, lease=True))
        (step,) = client.claim()
        assert client.end(step, "snooze", seconds=-1)[0] == 422
        for _ in range(2):  # the second is a repetition of the first
            answer = client.end(step, "snooze", seconds=0)
            assert answer == (200, {"step_id": step_id, "status": "snoozed"})
        assert client.end(step, "complete")[0] == 409
        assert (app.status(step_id).snoozes, app.status(step_id).retry_count) == (1, 0)
        (step,) = client.claim()
        answer = client.end(step, "snooze", seconds=5)
        assert answer == (200, {"step_id": step_id, "status": "failed"})
        pod.drain(0)
    error = "Snooze: put off 1 times before; FLEET_Q_MAX_SNOOZES allows no more"
    assert (app.status(step_id).status, app.status(step_id).error) == ("failed", error)


def test_client_saves_for_who_claims_the_step_later(client: Client, app: FleetQ) -> None:
    step_id = app.submit({})
    (step,) = client.claim()
    for page in (1, 2, 2):
        answer = client.end(step, "checkpoint", value={"page": page})
        assert answer == (200, {"step_id": step_id})
    assert client.end(step, "release")[0] == 200
    assert client.end(step, "checkpoint", value=3)[0] == 409
    (later,) = client.claim()
    assert later["saved"] == {"page": 2}
    assert client.end(step, "checkpoint", value=3)[0] == 409
    assert client.end(later, "checkpoint", value=None)[0] == 200


def test_client_of_a_cancelled_step_saves_nothing(client: Client, app: FleetQ) -> None:
    step_id = app.submit({})
    (step,) = client.claim()
    app.cancel(step_id)
    assert client.end(step, "checkpoint", value=1)[0] == 409


def test_save_that_the_store_does_not_answer_may_be_repeated() -> None:
    class Silent(MemoryStore):
        is_silent = True

        def save_checkpoint(self, save: SaveCheckpoint, pod_id: str | None = None) -> None:
            super().save_checkpoint(save, pod_id)
            if self.is_silent:
                self.is_silent = False
                raise StoreUnavailable("no answer")

    app = FleetQ(Silent(), settings=QUICK)
    app.submit({})
    with app.leasing():
        client = Client(api_of(app, lease=True))
        (step,) = client.claim()
        assert client.end(step, "checkpoint", value=1)[0] == 503
        assert client.end(step, "checkpoint", value=1)[0] == 200
        assert client.end(step, "checkpoint", value=2)[0] == 200
        assert client.end(step, "release")[0] == 200
        (later,) = client.claim()
        assert later["saved"] == 2
        assert client.end(later, "complete")[0] == 200  # the pod would wait for it when it leaves


def test_heartbeat_reports_progress(client: Client, app: FleetQ) -> None:
    step_id = app.submit({})
    (step,) = client.claim()
    progress = {"fraction": 0.4, "text": "loading 3 of 7"}
    assert client.end(step, "heartbeat", progress=progress)[0] == 200
    wait_until(lambda: client.get(f"/status/{step_id}").json()["progress"] == progress)
    assert client.get("/steps").json()["steps"][0]["progress"] == progress
    assert client.end(step, "heartbeat", progress={"fraction": 1})[0] == 200
    wait_until(lambda: app.status(step_id).progress == {"fraction": 1, "text": None})


def test_client_that_is_silent_loses_its_step_to_a_retry(client: Client, app: FleetQ) -> None:
    step_id = app.submit({})
    (silent,) = client.claim(lease=1)
    (step,) = client.claim(lease=60)
    assert (step["step_id"], step["attempt"]) == (step_id, 2)
    error = app.status(step_id).error
    assert error == "LeaseEnded: the client was silent for longer than its lease of 1 s"
    for how, body in [("complete", {}), ("fail", {"error": "late"}), ("release", {})]:
        code, answer = client.end(silent, how, **body)
        assert code == 409
        assert f"the claim of step '{step_id}' is lost" in answer["detail"]
    assert client.end(silent, "heartbeat")[0] == 409
    assert client.end(step, "complete", result="second")[0] == 200
    assert app.status(step_id).result == "second"


def test_heartbeats_do_not_extend_the_timeout_of_a_step(client: Client, app: FleetQ) -> None:
    step_id = app.submit({}, timeout=0.2, max_retries=0)
    (step,) = client.claim(lease=60)
    wait_until(lambda: client.end(step, "heartbeat", lease=60)[0] == 409)
    ended = app.wait(step_id, LIMIT)
    assert (ended.status, ended.error) == ("failed", "TimeoutError: ran longer than 0.2 s")


def test_lease_that_is_shorter_than_the_timeout_ends_first(client: Client, app: FleetQ) -> None:
    step_id = app.submit({}, timeout=3600, max_retries=0)
    client.claim(lease=1)
    assert "LeaseEnded" in str(app.wait(step_id, LIMIT).error)


def test_step_on_its_last_try_fails_when_its_lease_ends(client: Client, app: FleetQ) -> None:
    step_id = app.submit({}, max_retries=0)
    client.claim(lease=1)
    assert "LeaseEnded" in str(app.wait(step_id, LIMIT).error)
    assert app.status(step_id).status == "failed"


def test_heartbeat_renews_the_lease_of_its_claim_or_another(client: Client, app: FleetQ) -> None:
    app.submit({})
    (step,) = client.claim(lease=30)
    assert client.end(step, "heartbeat") == (200, {"step_id": step["step_id"], "lease": 30})
    assert client.end(step, "heartbeat", lease=1)[1]["lease"] == 1
    assert client.end(step, "heartbeat", lease=50)[1]["lease"] == 50
    assert client.end(step, "heartbeat")[1]["lease"] == 50
    assert client.end(step, "complete")[0] == 200


def test_heartbeat_of_a_cancelled_step_says_that_it_is_lost(client: Client, app: FleetQ) -> None:
    step_id = app.submit({})
    (step,) = client.claim()
    app.cancel(step_id)
    wait_until(lambda: client.end(step, "heartbeat")[0] == 409)
    assert client.end(step, "complete")[0] == 409


def test_request_that_ends_a_claim_may_be_repeated(client: Client, app: FleetQ) -> None:
    app.submit_many([{}] * 3)
    steps = client.claim(3)
    endings: list[tuple[str, dict[str, Any]]] = [
        ("complete", {"result": 1}),
        ("fail", {"error": "x"}),
        ("release", {}),
    ]
    for step, (how, body) in zip(steps, endings, strict=True):
        first = client.end(step, how, **body)
        assert first[0] == 200
        assert client.end(step, how, **body) == first
        for other, other_body in endings:
            if other != how:
                assert client.end(step, other, **other_body)[0] == 409


def test_token_of_another_claim_is_refused(client: Client, app: FleetQ) -> None:
    step_id = app.submit({})
    (step,) = client.claim()
    wrong = {**step, "claim_token": "guessed"}
    for how, body in [("complete", {}), ("fail", {"error": "x"}), ("release", {})]:
        assert client.end(wrong, how, **body)[0] == 409
    assert client.end({**step, "step_id": "another"}, "complete")[0] == 409
    assert app.status(step_id).status == "claimed"


@pytest.mark.parametrize(
    "body",
    [
        {"n": 0},
        {"n": 1001},
        {"n": "1"},
        {"wait": 61},
        {"wait": -1},
        {"lease": 0.5},
        {"lease": 3601},
        {"leases": 5},
        {"queues": []},
        {"queues": "gpu"},
        {"queues": [""]},
        {"queues": ["a,b"]},
        {"task_types": []},
        {"task_types": [5]},
        {"task_types": ["\0"]},
    ],
    ids=str,
)
def test_invalid_claim_is_refused(client: Client, body: dict[str, Any]) -> None:
    assert client.post("/claim", json=body).status_code == 422


@pytest.mark.parametrize(
    ("how", "body"),
    [
        ("complete", {"claim_token": ""}),
        ("complete", {"result": 1}),
        ("fail", {"claim_token": "t"}),
        ("fail", {"claim_token": "t", "error": None}),
        ("release", {"claim_token": "t", "delay": -1}),
        ("heartbeat", {"claim_token": "t", "lease": 0}),
        ("heartbeat", {"claim_token": "t", "progress": {"fraction": 1.1}}),
        ("heartbeat", {"claim_token": "t", "progress": {"text": "x" * 201}}),
        ("heartbeat", {"claim_token": "t", "progress": 0.4}),
        ("checkpoint", {"claim_token": "t"}),
    ],
    ids=str,
)
def test_invalid_end_is_refused(client: Client, how: str, body: dict[str, Any]) -> None:
    assert client.post(f"/steps/a/{how}", json=body).status_code == 422


def test_result_that_is_too_large_leaves_the_step_claimed() -> None:
    app = FleetQ("memory://", settings=replace(QUICK, max_result_bytes=10))
    step_id = app.submit({})
    with app.leasing():
        client = Client(api_of(app, lease=True))
        (step,) = client.claim()
        code, answer = client.end(step, "complete", result="x" * 20)
        assert code == 422
        assert "the result has" in answer["detail"]
        assert app.status(step_id).status == "claimed"
        assert client.end(step, "complete", result="short")[0] == 200


def test_claims_need_a_key_and_a_host(app: FleetQ) -> None:
    keyed = FleetQ(app.store, settings=replace(QUICK, api_keys=("secret",)))
    with keyed.leasing():
        http = api_of(keyed, ("localhost",), lease=True)
        client = Client(http, base_url="http://localhost")
        for path in ("/claim", "/steps/a/complete", "/steps/a/heartbeat"):
            assert client.post(path, json={}).status_code == 401
        client.headers["X-API-Key"] = "secret"
        assert client.claim(wait=0) == []
        stranger = Client(http, base_url="http://evil.example", headers={"X-API-Key": "secret"})
        assert stranger.post("/claim", json={}).status_code == 421
        page = {"Origin": "http://evil.example"}
        assert client.post("/claim", json={}, headers=page).status_code == 403


def test_pod_without_leases_has_no_claims(app: FleetQ) -> None:
    assert TestClient(api_of(app)).post("/claim", json={}).status_code == 404
    answer = TestClient(api_of(app, lease=True)).post("/claim", json={})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


def test_waiting_claim_ends_when_the_pod_drains_and_held_steps_may_be_ended(app: FleetQ) -> None:
    held_id = app.submit({})
    with ThreadPoolExecutor() as threads, app.leasing() as pod:
        client = Client(api_of(app, lease=True))
        (held,) = client.claim()
        waiting = threads.submit(client.post, "/claim", json={"wait": LONGEST_WAIT})
        pod.drain()
        answer = waiting.result(LIMIT)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert client.post("/claim", json={}).status_code == 503
        assert client.end(held, "complete", result="in time")[0] == 200
        assert pod.ended.wait(LIMIT)
    assert app.status(held_id).result == "in time"


def test_health_is_that_of_the_pod(client: Client, app: FleetQ) -> None:
    wait_until(lambda: client.get("/health").status_code == 200)
    assert client.get("/health").json()["pod_id"] == "pod-1"


def test_end_that_the_store_does_not_take_in_time_may_be_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    is_away = threading.Event()

    class FailingStore(MemoryStore):
        def sync(self, request: SyncRequest) -> SyncResult:
            if is_away.is_set():
                raise StoreUnavailable("/srv/secret.db is locked")
            return super().sync(request)

    app = FleetQ(FailingStore(), settings=QUICK)
    step_id = app.submit({})
    monkeypatch.setattr(lease_routes, "STORED_WITHIN", 0.01)
    with app.leasing():
        client = Client(api_of(app, lease=True))
        (step,) = client.claim()
        is_away.set()
        for _ in range(2):
            code, answer = client.end(step, "complete", result=1)
            assert code == 503
            assert "secret" not in str(answer)
        answer = client.post("/claim", json={})
        assert answer.status_code == 503
        assert "secret" not in answer.text
        is_away.clear()
        wait_until(lambda: client.end(step, "complete", result=1)[0] == 200)
    assert app.status(step_id).result == 1


def test_routes_are_described(app: FleetQ) -> None:
    paths = TestClient(api_of(app, lease=True)).get("/openapi.json").json()["paths"]
    assert {"403", "413", "415", "422", "503"} <= paths["/claim"]["post"]["responses"].keys()
    for how in ("complete", "fail", "release", "checkpoint", "heartbeat"):
        assert "409" in paths[f"/steps/{{step_id}}/{how}"]["post"]["responses"]
