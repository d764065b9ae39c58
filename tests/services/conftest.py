"""An app in memory with short intervals, and a way to run it; the command line in this process."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi import FastAPI
from typer.main import get_command

from fleet_q import FleetQ, Settings
from fleet_q.services.app.views import StepView
from fleet_q.services.cli import commands as cli
from fleet_q.services.cli import options as cli_options
from fleet_q.services.http import health as http_health
from fleet_q.services.http.api import create_http
from fleet_q.services.worker.careful_log import wait_for_handlers
from tests.waiting import LIMIT

QUICK = Settings(
    pod_id="pod-1",
    heartbeat_interval=0.02,
    claim_interval=0.02,
    recovery_interval=0.05,
    dead_pod_threshold=LIMIT,
    retry_base_delay=0.001,
    retry_max_delay=0.01,
    shutdown_grace=LIMIT,
)

Run = Callable[..., list[StepView]]
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def patient_health(monkeypatch: pytest.MonkeyPatch) -> None:
    """/health waits for an answer as long as a slow machine takes."""
    monkeypatch.setattr(http_health, "ANSWER_WITHIN", LIMIT)


@pytest.fixture(autouse=True)
def _log_records_stay_in_their_test() -> Iterator[None]:
    """Wait for the thread that calls the handlers: a late record would be another test's."""
    yield
    assert wait_for_handlers(LIMIT)


@pytest.fixture
def app() -> FleetQ:
    return FleetQ("memory://", settings=QUICK)


@pytest.fixture
def run(app: FleetQ) -> Run:
    """Run a pod of ``app`` until the given steps have ended; how they ended."""

    def run(*step_ids: str) -> list[StepView]:
        return asyncio.run(ended(app, step_ids))

    return run


@pytest.fixture
def root_logger() -> Iterator[None]:
    """Restore the root logger, and close the handlers that the test gave it: they would write into
    the stderr of other tests, and each has a thread."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    for handler in logging.root.handlers:
        if handler not in handlers:
            handler.close()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.fixture
def fleet_q(
    root_logger: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Run ``fleet-q`` with these words in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli_options, "verbose", False)
    monkeypatch.setattr(cli, "cli", _command())
    monkeypatch.setattr(cli, "reap_orphans", lambda: None)  # it forks if this is process 1

    def run(*words: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["fleet-q", *words])
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        with pytest.raises(SystemExit) as end:
            cli.main()
        captured = capsys.readouterr()
        return int(end.value.code or 0), captured.out, captured.err

    return run


@cache
def _command() -> Any:
    """The command line with all its commands made, which takes longer than most of them to run."""
    return get_command(cli.cli)


class _Served:
    """Passes everything on to the app that an API serves at the moment."""

    app: FleetQ

    def __getattr__(self, name: str) -> Any:
        return getattr(self.app, name)


@cache
def _api(
    settings: Settings, allowed_hosts: tuple[str, ...] | None, lease: bool
) -> tuple[FastAPI, _Served]:
    served = _Served()
    served.app = FleetQ("memory://", settings=settings)
    return create_http(cast("FleetQ", served), allowed_hosts=allowed_hosts, lease=lease), served


def api_of(
    app: FleetQ, allowed_hosts: tuple[str, ...] | None = None, *, lease: bool = False
) -> FastAPI:
    """The HTTP API of ``app``, made once for each configuration, since FastAPI takes longer to make
    one than a test to use it. It serves one app at a time, the last that was given. Tests of
    ``/health``, which remembers what it has logged, make their own."""
    api, served = _api(app.settings, allowed_hosts, lease)
    served.app = app
    return api


async def ended(app: FleetQ, step_ids: Iterable[str]) -> list[Any]:
    async with app.running():
        waiting = [asyncio.to_thread(app.wait, step_id, LIMIT) for step_id in step_ids]
        return list(await asyncio.gather(*waiting))


def last_heartbeat(app: FleetQ) -> int:
    """The time of the last heartbeat of the app's only pod."""
    return app.store.pods().pods[0].last_heartbeat_ts


def has_sent_heartbeat_since(app: FleetQ, previous: int) -> bool:
    return last_heartbeat(app) > previous
