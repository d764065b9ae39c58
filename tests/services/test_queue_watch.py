"""``fleet-q queue --watch``: when it counts, what it shows, and how it ends."""

from __future__ import annotations

import io
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console

from fleet_q import FleetQ, Settings
from fleet_q.adapters.memory import MemoryStore
from fleet_q.core.errors import StoreUnavailable
from fleet_q.core.ports import StoreTraits
from fleet_q.core.queue_stats import QueueStats
from fleet_q.core.step import Submit
from fleet_q.services.cli import queue_watch
from tests.conformance.clock import SECOND, FakeClock
from tests.services.conftest import Command
from tests.waiting import LIMIT

CURSOR_SHOWN = "\x1b[?25h"
END = {signal.SIGINT: "", signal.SIGTERM: "fleet-q: terminated\r\n"}
"""What is printed after the last picture."""


class CountingStore(MemoryStore):
    """A store in memory that counts how often its steps are counted, and may be away."""

    def __init__(self, clock: FakeClock, *, is_billed: bool) -> None:
        super().__init__(clock)
        self.counted = 0
        self.is_away = False
        self._is_billed = is_billed

    @property
    def traits(self) -> StoreTraits:
        return replace(super().traits, writes_are_billed=self._is_billed)

    def change_counter(self) -> int:
        if self.is_away:
            raise StoreUnavailable("the store is away")
        return super().change_counter()

    def queue_stats(self, window: int) -> QueueStats:
        self.counted += 1
        return super().queue_stats(window)


class Terminal:
    """A terminal on which the queues of a store are watched, on the store's clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, is_billed: bool = True) -> None:
        self.clock = FakeClock()
        self.store = CountingStore(self.clock, is_billed=is_billed)
        self._shown = io.StringIO()
        self._actions: list[Callable[[], object] | None] = []
        console = Console(file=self._shown, force_terminal=True, width=80, height=40)
        monkeypatch.setattr(queue_watch, "out", console)
        monkeypatch.setattr(queue_watch, "terminal_width", lambda: 80)
        monkeypatch.setattr("sys.stdout", _Tty())

    def watch(self, *actions: Callable[[], object] | None) -> list[str]:
        """Watch for as many pictures as there are actions, each of which follows one; return the
        texts of the pictures."""
        self._actions = list(actions)
        fleet = FleetQ(self.store, settings=Settings(claim_interval=5.0))
        queue_watch.watch_queues(
            fleet, False, clock=lambda: self.clock() / SECOND, sleep=self._sleep
        )
        return self._shown.getvalue().split("\x1b[2K\x1b[1A" * 2)

    def _sleep(self, seconds: float) -> None:
        if not self._actions:
            raise KeyboardInterrupt
        action = self._actions.pop(0)
        if action is not None:
            action()
        self.clock.advance(seconds)

    def submit(self) -> None:
        known = sum(self.store.counts().values())
        self.store.submit([Submit(f"step {known}", "{}", task_type="resize")])


class _Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_steps_are_not_counted_while_the_change_counter_stays_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal(monkeypatch)
    terminal.watch(*[None] * 3_600)
    assert terminal.store.counted == 2


def test_steps_are_counted_after_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(monkeypatch)
    shown = terminal.watch(*[None] * 20, terminal.submit, *[None] * 20)
    assert terminal.store.counted == 4
    assert "resize" not in shown[0]
    assert "resize" in shown[-1]


def test_ages_go_on_between_two_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(monkeypatch)
    terminal.submit()
    shown = terminal.watch(*[None] * 110)
    assert (" 0s " in shown[0], " 110s " in shown[-1]) == (True, True)
    assert "counted 105s ago; Ctrl-C ends" in shown[-1]


def test_steps_are_counted_now_and_then_where_that_costs_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal(monkeypatch, is_billed=False)
    terminal.watch(*[None] * 100)
    assert terminal.store.counted >= 10


def test_store_that_does_not_answer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(monkeypatch)

    def set_away(is_away: bool) -> None:
        terminal.store.is_away = is_away

    shown = terminal.watch(
        terminal.submit, lambda: set_away(True), *[None] * 10, lambda: set_away(False), *[None] * 6
    )
    assert any("the store is away" in picture for picture in shown)
    assert "the store is away" not in shown[-1]
    assert "resize" in shown[-1]


def test_watch_is_refused_without_a_terminal_and_with_json(fleet_q: Command) -> None:
    fleet_q("submit", "{}")
    code, out, err = fleet_q("queue", "--watch")
    assert (code, out) == (1, "")
    assert err == ("fleet-q: --watch needs a terminal; leave it out to print the queues once\n")
    assert "--watch is for people" in fleet_q("queue", "--watch", "--json")[2]
    assert "options follow the command" in fleet_q("queue", "--watch", "list")[2]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_signal_ends_the_watch_with_a_tidy_terminal(
    fleet_q: Command, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    fleet_q("submit", '{"task_type": "first"}')
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "fleet_q", "queue", "--watch"]
    env = {**os.environ, "COLUMNS": "80", "LINES": "40", "TERM": "xterm-256color"}
    with subprocess.Popen(command, stdout=child, stderr=child, cwd=tmp_path, env=env) as process:
        os.close(child)
        assert "first" in _read_until(parent, "Ctrl-C ends")
        fleet_q("submit", '{"task_type": "second"}')
        _read_until(parent, "second")
        process.send_signal(number)
        last = _read_until(parent, None)
        assert process.wait(LIMIT) == code
    os.close(parent)
    assert last.endswith(f"Ctrl-C ends\x1b[0m\r\n{CURSOR_SHOWN}{END[number]}")


def _read_until(terminal: int, text: str | None) -> str:
    """What the terminal shows until it has shown the text, or to the end."""
    shown = b""
    until = time.monotonic() + LIMIT
    while text is None or text.encode() not in shown:
        ready, _, _ = select.select([terminal], [], [], max(0, until - time.monotonic()))
        assert ready, shown
        try:
            more = os.read(terminal, 65_536)
        except OSError:  # Linux: the other end is closed
            more = b""
        if not more:
            assert text is None, shown
            break
        shown += more
    return shown.decode()
