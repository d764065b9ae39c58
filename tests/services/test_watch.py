"""``--watch``: when it reads, what it shows, and how it ends."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from rich.console import Console

from fleet_q import FleetQ, Settings
from fleet_q.adapters.memory import MemoryStore
from fleet_q.core.errors import StoreUnavailable
from fleet_q.core.ports import StoreTraits
from fleet_q.core.queue_stats import QueueStats
from fleet_q.core.step import Submit
from fleet_q.services.cli import queue, watch
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
        monkeypatch.setattr(watch, "out", console)
        monkeypatch.setattr(queue, "terminal_width", lambda: 80)
        monkeypatch.setattr("sys.stdout", _Tty())

    def watch(self, *actions: Callable[[], object] | None) -> list[str]:
        """Watch for as many pictures as there are actions, each of which follows one; return the
        texts of the pictures."""
        self._actions = list(actions)
        fleet = FleetQ(self.store, settings=Settings(claim_interval=5.0))
        watch.watch(
            fleet,
            fleet.queue_stats,
            queue.queue_lines,
            json=False,
            clock=lambda: self.clock() / SECOND,
            sleep=self._sleep,
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
    assert "read 105s ago; Ctrl-C ends" in shown[-1]


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


def test_watch_of_subcommands_follows_their_name(fleet_q: Command) -> None:
    fleet_q("submit", "{}")
    assert "options follow the command" in fleet_q("queue", "--watch", "list")[2]


def watch_in_a_pipe(monkeypatch: pytest.MonkeyPatch, command: Command, *words: str) -> str:
    """What a command prints while two steps are submitted, each after three looks."""
    looks = 0

    def sleep(_: float) -> None:
        nonlocal looks
        looks += 1
        if looks > 6:
            raise KeyboardInterrupt
        if looks % 3 == 0:
            FleetQ("sqlite:///fleet-q.db").submit({"task_type": f"type-{looks}"})

    defaults: Any = watch.watch.__kwdefaults__
    defaults = {**defaults, "sleep": sleep, "clock": lambda: 10.0 * looks}
    monkeypatch.setattr(watch.watch, "__kwdefaults__", defaults)
    code, out, err = command(*words, "--watch")
    assert (code, err) == (0, "")
    return out


def test_watch_in_a_pipe_prints_a_line_of_json_for_each_change(
    fleet_q: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet_q("submit", "{}")
    out = watch_in_a_pipe(monkeypatch, fleet_q, "steps", "list", "--json")
    assert [len(json.loads(line)["steps"]) for line in out.splitlines()] == [1, 2, 3]


@pytest.mark.parametrize("words", [["pods"], ["leader"], ["schedules", "list"], ["steps", "list"]])
def test_watch_in_a_pipe_begins_with_the_time(
    fleet_q: Command, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    fleet_q("submit", "{}")
    time, *lines = watch_in_a_pipe(monkeypatch, fleet_q, *words).splitlines()
    assert datetime.fromisoformat(time).utcoffset() == timedelta()
    assert lines[: len(lines) - 1] == fleet_q(*words)[1].splitlines() or words == ["steps", "list"]


def test_watch_of_a_workflow_ends_with_it(fleet_q: Command) -> None:
    app = FleetQ("sqlite:///fleet-q.db")
    flow = app.workflow("one")
    flow.add(app.task("only")(lambda: None).step())
    workflow_id = flow.submit()
    app.workflows.cancel(workflow_id)
    assert "1 cancelled" in fleet_q("workflow", "show", workflow_id, "--watch")[1]


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
