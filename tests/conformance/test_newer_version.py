"""A type or status that only a newer version knows is an error of one line with advice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from fleet_q import FleetQ
from fleet_q.core.errors import IllegalTransition, UnknownToThisVersion
from fleet_q.core.ports import Store
from fleet_q.services.http.api import create_http

from .clock import FakeClock
from .helpers import completed_step, join, silent, submit
from .stores import KINDS, StoreKind

ADVICE = ", which this version does not know; upgrade fleet-q"


@pytest.fixture(params=[kind for kind in KINDS if kind.execute], ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> StoreKind:
    """Every kind of store that another version can have written to."""
    store_kind: StoreKind = request.param
    return store_kind


@pytest.fixture
def store(kind: StoreKind, tmp_path: Path, clock: FakeClock) -> Iterator[Store]:
    store = kind.open(tmp_path, clock)
    yield store
    store.close()


@pytest.fixture
def execute(kind: StoreKind, store: Store, tmp_path: Path) -> Callable[[str], None]:
    def execute(statement: str) -> None:
        assert kind.execute is not None
        kind.execute(tmp_path, store, statement)

    return execute


@pytest.fixture
def app(store: Store) -> FleetQ:
    return FleetQ(store)


@pytest.fixture
def http(app: FleetQ) -> TestClient:
    return TestClient(create_http(app))


def test_step_event_of_unknown_type_is_an_error_with_advice(
    store: Store, execute: Callable[[str], None], app: FleetQ, http: TestClient, tmp_path: Path
) -> None:
    completed_step(store, "step")
    execute("UPDATE step_events SET type = 'paused' WHERE version = 2")
    message = f"event 2 of step 'step' is 'paused'{ADVICE}"

    for call in (
        lambda: app.history("step"),
        lambda: list(store.step_events()),
        lambda: store.rebuild(check=True),
        store.rebuild,
        lambda: app.prune(0, archive=tmp_path / "events.jsonl"),
    ):
        with pytest.raises(UnknownToThisVersion) as refused:
            call()
        assert str(refused.value) == message
    response = http.get("/steps/step/history")
    assert (response.status_code, response.json()) == (500, {"detail": message})
    assert app.status("step").status == "completed"


def test_pod_event_of_unknown_type_is_an_error_with_advice(
    store: Store, execute: Callable[[str], None]
) -> None:
    join(store)
    execute("UPDATE pod_events SET type = 'moved'")

    for call in (lambda: store.rebuild(check=True), lambda: list(store.pod_history("pod"))):
        with pytest.raises(UnknownToThisVersion) as refused:
            call()
        assert str(refused.value) == f"event 1 of pod 'pod' is 'moved'{ADVICE}"


def test_step_of_unknown_status_is_an_error_with_advice(
    store: Store, execute: Callable[[str], None], app: FleetQ, http: TestClient
) -> None:
    submit(store, "step")
    execute("UPDATE step_tracker SET status = 'paused'")
    message = f"step 'step' is 'paused'{ADVICE}"

    calls: list[Callable[[], object]] = [lambda: app.status("step"), lambda: app.wait("step", 0)]
    for call in calls:
        with pytest.raises(UnknownToThisVersion) as refused:
            call()
        assert str(refused.value) == message
    response = http.get("/status/step")
    assert (response.status_code, response.json()) == (500, {"detail": message})
    for change in (lambda: app.cancel("step"), lambda: app.replay(["step"])):
        with pytest.raises(IllegalTransition, match=r"step 'step' is paused .*: upgrade fleet-q$"):
            change()


def test_counting_steps_of_unknown_status_is_an_error_with_advice(
    store: Store, execute: Callable[[str], None], app: FleetQ, http: TestClient
) -> None:
    for step_id in ("one", "two", "three"):
        submit(store, step_id)
    execute("UPDATE step_tracker SET status = 'paused' WHERE step_id <> 'one'")
    message = f"2 step(s) have the status 'paused'{ADVICE}"

    with pytest.raises(UnknownToThisVersion) as refused:
        app.queue()
    assert str(refused.value) == message
    response = http.get("/admin/queue")
    assert (response.status_code, response.json()) == (500, {"detail": message})


def test_pod_of_unknown_status_is_an_error_with_advice_and_left_to_newer_leaders(
    store: Store,
    clock: FakeClock,
    execute: Callable[[str], None],
    app: FleetQ,
    http: TestClient,
) -> None:
    join(store)
    join(store, "other")
    execute("UPDATE pod_health SET status = 'moved' WHERE pod_id = 'pod'")
    message = f"pod 'pod' is 'moved'{ADVICE}"

    with pytest.raises(UnknownToThisVersion) as refused:
        app.pods()
    assert str(refused.value) == message
    response = http.get("/admin/pods")
    assert (response.status_code, response.json()) == (500, {"detail": message})
    clock.advance(100)
    assert [pod.pod_id for pod in store.declare_dead(silent(store, 10))] == ["other"]
