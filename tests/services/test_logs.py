"""Log lines name the pod, the step and the attempt."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from functools import partial

import msgspec
import pytest

from fleet_q import FleetQ
from fleet_q.core.pod import Join, Leave
from fleet_q.core.ports import SyncRequest
from fleet_q.services.worker import logs
from tests.services.conftest import QUICK, ended, has_sent_heartbeat_since, last_heartbeat
from tests.waiting import LIMIT, wait_until_async


def _app(log_format: str = "json", **settings: object) -> FleetQ:
    app_settings = msgspec.structs.replace(QUICK, log_format=log_format, **settings)
    logs.configure(app_settings, "pod-1")
    return FleetQ("memory://", settings=app_settings)


def _run_a_failing_step(log_format: str, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    app = _app(log_format)

    @app.task("talk", max_retries=1)
    def talk() -> None:
        logging.getLogger("mine").info("hello")
        raise ValueError("oh")

    step_id = talk.submit()
    asyncio.run(ended(app, [step_id]))
    return step_id, _written(capsys)


def _written(capsys: pytest.CaptureFixture[str]) -> str:
    assert logs.flush(LIMIT)
    return capsys.readouterr().err


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in _written(capsys).splitlines()]


@pytest.mark.usefixtures("root_logger")
def test_json_lines_name_pod_step_and_attempt(capsys: pytest.CaptureFixture[str]) -> None:
    step_id, err = _run_a_failing_step("json", capsys)
    lines = [json.loads(line) for line in err.splitlines()]
    assert all(line["pod"] == "pod-1" for line in lines)
    about = [(line["logger"], line["message"], line["attempt"])
             for line in lines if line.get("step") == step_id]  # fmt: skip
    assert about == [
        ("mine", "hello", 1),
        ("fleet_q.pod", "attempt failed: ValueError: oh", 1),
        ("mine", "hello", 2),
        ("fleet_q.pod", "failed: ValueError: oh", 2),
    ]


@pytest.mark.usefixtures("root_logger")
def test_text_lines_name_pod_step_and_attempt(capsys: pytest.CaptureFixture[str]) -> None:
    step_id, err = _run_a_failing_step("text", capsys)
    (line,) = [line for line in err.splitlines() if "hello" in line and "attempt=1" in line]
    assert line.endswith(f" - mine - INFO - hello pod=pod-1 step={step_id} attempt=1")


@pytest.mark.usefixtures("root_logger")
@pytest.mark.parametrize(
    ("heartbeat", "message"),
    [(0.02, "claim lost: cancelled, or recovered by the leader"), (3_600, "outcome rejected")],
)
def test_lost_claim_is_logged_with_step_and_attempt(
    capsys: pytest.CaptureFixture[str], heartbeat: float, message: str
) -> None:
    """The pod notices at its next heartbeat, or when it reports the outcome before that."""
    app = _app(heartbeat_interval=heartbeat, dead_pod_threshold=2 * heartbeat + LIMIT)
    started, proceed = threading.Event(), threading.Event()

    @app.task("long")
    def long() -> None:
        started.set()
        proceed.wait(LIMIT)

    async def main() -> str:
        async with app.running():
            step_id = long.submit()
            assert await asyncio.to_thread(started.wait, LIMIT)
            app.cancel(step_id)
            if heartbeat < 1:
                for _ in range(2):
                    next_heartbeat = partial(has_sent_heartbeat_since, app, last_heartbeat(app))
                    await wait_until_async(next_heartbeat)
            proceed.set()
        return step_id

    step_id = asyncio.run(main())
    (line,) = [line for line in _lines(capsys) if message in str(line["message"])]
    assert (line["step"], line["attempt"]) == (step_id, 1)


@pytest.mark.usefixtures("root_logger")
def test_released_step_is_logged_with_its_attempt(capsys: pytest.CaptureFixture[str]) -> None:
    app = _app()
    started = threading.Event()

    @app.task("endless")
    async def endless() -> None:
        started.set()
        await asyncio.sleep(3_600)

    async def main() -> str:
        async with app.running() as pod:
            step_id = endless.submit()
            assert await asyncio.to_thread(started.wait, LIMIT)
            pod.drain(0)
        return step_id

    step_id = asyncio.run(main())
    (line,) = [line for line in _lines(capsys) if line["message"] == "released before it completed"]
    assert (line["step"], line["attempt"]) == (step_id, 1)


@pytest.mark.usefixtures("root_logger")
def test_recovery_is_logged_with_its_counts(capsys: pytest.CaptureFixture[str]) -> None:
    app = _app()
    app.executor(lambda step: None)
    step_id = app.submit({})
    app.store.sync(SyncRequest("ghost", "one", Join("ghost", "one"), claim=1, claim_token="its"))
    app.store.sync(SyncRequest("ghost", "one", Leave("ghost", "one")))
    asyncio.run(ended(app, [step_id]))
    messages = [line["message"] for line in _lines(capsys)]
    assert "recovery: 0 dead pods; 1 orphans, 1 requeued, 0 failed" in messages


@pytest.mark.usefixtures("root_logger")
def test_exception_is_logged_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    for log_format in ("json", "text"):
        logs.configure(msgspec.structs.replace(QUICK, log_format=log_format), "pod-1")
        try:
            raise KeyError("lost")
        except KeyError:
            logging.getLogger("mine").exception("it happened")
        err = _written(capsys)
        text = json.loads(err)["traceback"] if log_format == "json" else err
        assert "KeyError: 'lost'" in text


@pytest.mark.usefixtures("root_logger")
@pytest.mark.parametrize("library", ["snowflake.connector.connection", "uvicorn.error"])
def test_info_records_of_libraries_are_not_logged(
    capsys: pytest.CaptureFixture[str], library: str
) -> None:
    _app("text")
    logging.getLogger(library).info("hello from here")
    logging.getLogger(library).warning("look out")
    lines = _written(capsys).splitlines()
    assert [line.partition(" - ")[2] for line in lines] == [
        f"{library} - WARNING - look out pod=pod-1"
    ]
