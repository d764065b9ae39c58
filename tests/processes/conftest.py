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
def _no_signal_is_ignored() -> Iterator[None]:
    """Let processes of the tests notice signals: they would inherit that ``nohup``, or a shell that
    runs the tests in the background, ignores some. A handler is not inherited."""
    numbers = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
    ignored = [number for number in numbers if signal.getsignal(number) == signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, lambda number, frame: None)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[Pods]:
    pods = Pods(tmp_path)
    yield pods
    pods.close()
