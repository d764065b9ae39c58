"""Fixtures: pods that are processes, on one SQLite file."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet_q.adapters.sqlite.store import SqliteStore
from tests.processes.launcher import QUICK, Launcher


class Pods(Launcher):
    """Starts pods on an SQLite file in ``folder``; ``store`` is that file, opened here."""

    def __init__(self, folder: Path) -> None:
        path = folder / "fleet.db"
        super().__init__(folder, f"sqlite:///{path}", "tests.processes.tasks:app", QUICK)
        self.store = SqliteStore(path)

    def close(self) -> None:
        super().close()
        self.store.close()


@pytest.fixture(autouse=True)
def _hangup_is_not_ignored() -> Iterator[None]:
    """Let processes of the tests notice SIGHUP: they would inherit that ``nohup`` ignores it. A
    handler is not inherited."""
    before = signal.getsignal(signal.SIGHUP)
    if before == signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda number, frame: None)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[Pods]:
    pods = Pods(tmp_path)
    yield pods
    pods.close()
