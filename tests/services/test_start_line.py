"""The first log line of a pod."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import msgspec
import pytest

from fleet_q import FleetQ, Settings
from fleet_q.adapters.open import described
from fleet_q.core.errors import FleetQError
from fleet_q.services.app.tasks import MOST_NAMED
from fleet_q.services.app.version import installed_version
from fleet_q.services.worker.careful_log import wait_for_handlers
from tests.services.conftest import QUICK
from tests.waiting import LIMIT


def _start_line(app: FleetQ, caplog: pytest.LogCaptureFixture) -> str:
    async def main() -> None:
        async with app.running():
            pass

    assert wait_for_handlers(LIMIT)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        asyncio.run(main())
        assert wait_for_handlers(LIMIT)
    first, *_ = caplog.records
    assert first.levelno == logging.INFO
    return first.getMessage()


def test_pod_says_which_store_tasks_and_slots_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    app = FleetQ("sqlite:///q.db", settings=msgspec.structs.replace(QUICK, max_parallelism=10))
    app.task("resize")(lambda: None)
    app.task("crop")(lambda: None)
    told = (
        "pod pod-1 starts: fleet-q {}, store sqlite {}{}, 8 slots, queues: all, task types: crop,"
        " resize, settings: heartbeat_interval=0.02s, "
    )
    where = tmp_path / "q.db"
    version = installed_version()
    assert _start_line(app, caplog).startswith(told.format(version, where, ", which is new"))
    assert _start_line(app, caplog).startswith(told.format(version, where, ""))


def test_pod_without_functions_says_so(app: FleetQ, caplog: pytest.LogCaptureFixture) -> None:
    assert "task types: none, so this pod runs no steps" in _start_line(app, caplog)
    app.executor(lambda step: None)
    assert "task types: an executor for all, " in _start_line(app, caplog)
    app.task("t")(lambda: None)
    assert "task types: t; an executor for all others, " in _start_line(app, caplog)


def test_first_line_names_settings_that_differ_without_secrets(
    caplog: pytest.LogCaptureFixture,
) -> None:
    usual = _start_line(FleetQ("memory://", settings=Settings()), caplog)
    assert usual.endswith("task types: none, so this pod runs no steps")
    settings = Settings(prune_after=86_400, api_keys=("hush",), queues=("gpu", "mail"))
    line = _start_line(FleetQ("memory://", settings=settings), caplog)
    assert "6 slots, queues: gpu, mail, " in line
    assert line.endswith(", settings: prune_after=86400s, api_keys=***")


def test_long_list_of_task_types_is_cut(app: FleetQ, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(MOST_NAMED + 5):
        app.task(f"t{number:03}")(lambda: None)
    line = _start_line(app, caplog)
    assert "t019 and 5 more" in line
    assert "t020" not in line


def test_store_in_snowflake_is_named_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ACCOUNT", "org-acc"), ("USER", "me"), ("PASSWORD", "hush")):
        monkeypatch.setenv(f"SNOWFLAKE_{name}", value)
    assert described("snowflake:///jobs/queue") == "snowflake org-acc/jobs/queue"
    assert described("snowflake://") == "snowflake org-acc/-/-"
    monkeypatch.setenv("SNOWFLAKE_CONNECTION_NAME", "prod")
    assert described("snowflake://") == "snowflake connection prod/org-acc"


def test_store_that_cannot_be_described_raises_as_opening_it_does() -> None:
    with pytest.raises(FleetQError):
        described("sqlite://[")
