"""Logs: one line each, with pod, step and attempt."""

from __future__ import annotations

import asyncio
import json
import logging

import msgspec
import pytest

from fleet_q.services import FleetQ, logs
from tests.services.conftest import QUICK, ended


@pytest.fixture
def root_logger():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def _run_a_failing_step(log_format: str, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    settings = msgspec.structs.replace(QUICK, log_format=log_format)
    logs.configure(settings, "pod-1")
    app = FleetQ("memory://", settings=settings)

    @app.task("talk", max_retries=0)
    def talk() -> None:
        logging.getLogger("mine").info("hello")
        raise ValueError("oh")

    step_id = talk.submit()
    asyncio.run(ended(app, [step_id]))
    return step_id, capsys.readouterr().err


@pytest.mark.usefixtures("root_logger")
def test_json_lines_tell_pod_step_and_attempt(capsys):
    step_id, err = _run_a_failing_step("json", capsys)
    lines = {line["message"]: line for line in map(json.loads, err.splitlines())}
    assert all(line["pod"] == "pod-1" for line in lines.values())
    assert (lines["hello"]["step"], lines["hello"]["attempt"]) == (step_id, 1)
    assert lines["hello"]["logger"] == "mine"
    assert lines["attempt failed: ValueError: oh"]["step"] == step_id
    assert lines["attempt failed: ValueError: oh"]["level"] == "warning"


@pytest.mark.usefixtures("root_logger")
def test_text_lines_do_too(capsys):
    step_id, err = _run_a_failing_step("text", capsys)
    (line,) = [line for line in err.splitlines() if "hello" in line]
    assert line.endswith(f" - mine - INFO - hello pod=pod-1 step={step_id} attempt=1")


@pytest.mark.usefixtures("root_logger")
def test_an_exception_is_logged_with_its_traceback(capsys):
    for log_format in ("json", "text"):
        logs.configure(msgspec.structs.replace(QUICK, log_format=log_format), "pod-1")
        try:
            raise KeyError("lost")
        except KeyError:
            logging.getLogger("mine").exception("it happened")
        err = capsys.readouterr().err
        shown = json.loads(err)["traceback"] if log_format == "json" else err
        assert "KeyError: 'lost'" in shown
