"""Relative paths of stores are resolved early; URLs are shown without secrets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from fleet_q import FleetQ, Settings
from fleet_q.adapters.open import dialect, open_store
from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.core.errors import InvalidInput, StoreError
from fleet_q.services.cli.options import client

SECRETS = [
    "postgres://user:hunter2@host/db",
    "redis://:hunter2@host",
    "mysql://host/db?password=hunter2",
    "mssql:///server;PWD=hunter2",
    "user:hunter2@host",
    "sqlite://user:hunter2@host/db",
    "sqlite:///jobs.db?key=hunter2",
    "memory://hunter2@x",
    "postgres://user:hunter2@[host/db",
    "postgres://user:hunter2\u2100@host/db",
]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "here").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "elsewhere"


@pytest.mark.parametrize("given", ["code", "settings", "variable", "default", "use"])
def test_relative_path_is_resolved_when_the_app_is_made(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    url, name = "sqlite:///a%20b.db", "a b.db"
    match given:
        case "code":
            app = FleetQ(url)
        case "settings":
            app = FleetQ(settings=Settings(store=url))
        case "variable":
            monkeypatch.setenv("FLEET_Q_STORE", url)
            app = FleetQ()
        case "default":
            app, name = FleetQ(), "fleet-q.db"
        case "use":
            app = FleetQ("sqlite:////nowhere/x.db")
            app.use(store=url)
    monkeypatch.chdir(elsewhere)

    app.submit({})
    app.close()

    assert list(elsewhere.iterdir()) == []
    assert (elsewhere.parent / "here" / name).exists()


def test_relative_path_of_a_command_is_resolved_at_its_start(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere.parent / "here" / "moving_tasks.py").write_text(
        f"import os\nos.chdir({str(elsewhere)!r})\n"
        + "from fleet_q import FleetQ\napp = FleetQ('sqlite:////nowhere/x.db')\n"
    )
    monkeypatch.syspath_prepend(elsewhere.parent / "here")
    app = client("sqlite:///q.db", "moving_tasks:app", create=True)
    assert Path.cwd() == elsewhere
    app.submit({})
    app.close()
    assert (elsewhere.parent / "here" / "q.db").exists()


def test_open_store_with_a_relative_path_reports_the_absolute_one(elsewhere: Path) -> None:
    with pytest.raises(StoreError) as refused:
        SqliteStore("q.db", create=False)
    assert f"there is no store at {elsewhere.parent}/here/q.db;" in str(refused.value)


def test_memory_store_works_without_a_current_directory(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(elsewhere)
    elsewhere.rmdir()
    app = FleetQ("memory://")
    app.submit({})
    monkeypatch.chdir(os.sep)


@pytest.mark.parametrize("url", SECRETS)
def test_urls_are_shown_without_secrets(
    url: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for use in (open_store, lambda url: FleetQ(url).queue()):
        with pytest.raises(InvalidInput) as refused:
            use(url)
        assert "hunter2" not in str(refused.value)
        assert refused.value.__cause__ is None
    assert "hunter2" not in repr(Settings(store=url))
    assert list(tmp_path.iterdir()) == []


def test_rejected_urls_are_shown_without_secrets() -> None:
    with pytest.raises(InvalidInput) as refused:
        dialect("postgres://user:hunter2@host/db")
    assert "'postgres:***' is not a store's URL" in str(refused.value)
