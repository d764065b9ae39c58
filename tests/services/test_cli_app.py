"""``--app``: commands use the store and the settings that an app was made with."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet_q import FleetQ
from fleet_q.services.app.settings import Settings, from_env
from fleet_q.services.cli import process
from fleet_q.services.cli.options import client, pods_app
from fleet_q.services.worker import logs
from tests.services.conftest import Command


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with an app that has a store and settings of its own."""
    (tmp_path / "jobs_app.py").write_text(
        "from fleet_q import FleetQ, Settings\n"
        "app = FleetQ('sqlite:///jobs.db', settings=Settings(max_parallelism=3, max_retries=7))\n"
        "plain = FleetQ('sqlite:///plain.db')\n"
        "memory = FleetQ('memory://')\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("jobs_app", None)


def test_every_command_about_steps_uses_the_store_of_the_app(
    fleet_q: Command, folder: Path
) -> None:
    app = ["--app", "jobs_app:app"]
    fleet_q("submit", "{}", "--step-id", "one", *app)
    step = json.loads(fleet_q("status", "one", "--json", *app)[1])
    assert (step["status"], step["max_retries"]) == ("pending", 7)
    assert json.loads(fleet_q("queue", "--json", *app)[1])["pending"] == 1
    for command in (
        ["history", "one"], ["cancel", "one"], ["pods"], ["leader"], ["recover"], ["dlq", "list"],
        ["dlq", "replay", "one"], ["rebuild"], ["rebuild", "--check"],
        ["prune", "--older-than", "1d"], ["doctor"], ["schema", "--status"], ["scaler", "--once"],
    ):  # fmt: skip
        code, _, err = fleet_q(*command, *app)
        assert (code, err) == (0, ""), command
    fleet_q("cancel", "one", *app)
    assert fleet_q("wait", "one", *app)[2] == "fleet-q: step 'one' is cancelled\n"
    assert not (folder / "fleet-q.db").exists()


def test_app_is_also_the_one_of_the_environment(
    fleet_q: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEET_Q_APP", "jobs_app:app")
    fleet_q("submit", "{}", "--step-id", "one")
    assert json.loads(fleet_q("status", "one", "--json")[1])["max_retries"] == 7


def test_store_option_overrides_the_store_of_the_app(fleet_q: Command, folder: Path) -> None:
    fleet_q("submit", "{}", "--app", "jobs_app:app", "--store", "sqlite:///other.db")
    assert (folder / "other.db").exists()
    assert not (folder / "jobs.db").exists()


def test_app_without_settings_gets_those_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setenv("FLEET_Q_MAX_RETRIES", "5")
    app = client(None, "jobs_app:plain")
    assert app.settings.max_retries == 5
    assert app.where == f"sqlite:///{folder}/plain.db"


def test_pod_of_an_app_with_settings_has_these_and_the_id_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FLEET_Q_POD_ID", "pod-7")
    monkeypatch.setenv("FLEET_Q_MAX_PARALLELISM", "5")
    app = pods_app("jobs_app:app", None, from_env())
    assert app.settings == Settings(max_parallelism=3, max_retries=7, pod_id="pod-7")


def test_pod_logs_as_the_settings_of_its_app_say(
    fleet_q: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "jobs_app.py").write_text(
        "from fleet_q import FleetQ, Settings\n"
        "app = FleetQ('sqlite:///jobs.db', settings=Settings(log_format='json'))\n"
        "app.executor(lambda step: None)\n"
    )

    def run_worker(app: FleetQ) -> None:
        logging.getLogger("test").warning("hello")
        assert logs.flush()

    monkeypatch.setattr(process, "run_worker", run_worker)
    code, _, err = fleet_q("worker", "--app", "jobs_app:app")
    assert code == 0
    assert json.loads(err)["message"] == "hello"


def test_app_in_memory_is_rejected_by_commands_that_end(fleet_q: Command) -> None:
    code, out, err = fleet_q("queue", "--app", "jobs_app:memory")
    assert (code, out) == (1, "")
    assert err.startswith("fleet-q: memory:// exists only within one process")
