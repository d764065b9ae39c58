"""The output of commands: every value is whole, and control characters are escaped."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.core.pod import Join, Leave
from fleet_q.core.ports import SyncRequest
from fleet_q.core.step import Fail, Submit
from fleet_q.services.app.views import EventView
from fleet_q.services.cli import output
from fleet_q.services.cli.output import print_json, print_record, print_table
from tests.services.conftest import Command
from tests.services.hostile_text import HOSTILE, is_harmless
from tests.waiting import LIMIT

LONG = "/data/" + "x" * 300 + "/END"
IDS = ["step-" + "x" * 32, "i" * 200, "😀" * 30]


@pytest.fixture(params=[None, 200, 80, 40, 1])
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int | None:
    """Width of the terminal; ``None`` for a pipe or file."""
    columns: int | None = request.param
    if columns is not None:
        monkeypatch.setattr(output, "terminal_width", lambda: columns)
    return columns


@dataclass(frozen=True)
class Row:
    name: str
    text: str
    data: object = None


@pytest.mark.parametrize("step_id", IDS)
def test_record_shows_every_value_whole_and_in_one_piece(
    capsys: pytest.CaptureFixture[str], width: int | None, step_id: str
) -> None:
    print_record(Row(step_id, LONG, {"file": LONG}))
    lines = capsys.readouterr().out.splitlines()
    assert any(line.endswith(step_id) for line in lines)
    assert any(line.endswith(LONG) for line in lines)
    assert any(line.endswith(f'{{"file":"{LONG}"}}') for line in lines)


def test_table_shows_every_value_whole_and_in_one_piece(
    capsys: pytest.CaptureFixture[str], width: int | None
) -> None:
    print_table([Row(step_id, LONG, {"file": LONG}) for step_id in IDS], ("name", "data"), "none")
    lines = capsys.readouterr().out.splitlines()
    for step_id in IDS:
        assert any(step_id in line for line in lines)
    assert sum(f'{{"file":"{LONG}"}}' in line for line in lines) == len(IDS)


def test_table_that_fits_has_one_line_per_row(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [Row("a", "two\nlines"), Row("b" * 20, "")]
    print_table(rows, ("name", "text"), "none")
    shown = capsys.readouterr().out
    assert shown == f"name{' ' * 18}text\na{' ' * 21}two\\nlines\n{'b' * 20}\n"
    monkeypatch.setattr(output, "terminal_width", lambda: 32)
    print_table(rows, ("name", "text"), "none")
    assert capsys.readouterr().out == shown
    monkeypatch.setattr(output, "terminal_width", lambda: 31)
    print_table(rows, ("name", "text"), "none")
    assert capsys.readouterr().out.splitlines() == [
        "name  a", "text  two", "      lines", "", f"name  {'b' * 20}", "text",
    ]  # fmt: skip


def test_further_lines_of_a_value_are_indented(
    capsys: pytest.CaptureFixture[str], width: int | None
) -> None:
    print_record(Row("a", "first\nname  forged\nname: forged"))
    assert not re.search("^name.*forged", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize("text", HOSTILE)
def test_control_characters_are_shown_escaped(
    capsys: pytest.CaptureFixture[str], width: int | None, text: str
) -> None:
    print_record({"a": f"x{text}y", f"k{text}": 1, "data": {"a": text.replace("\udcff", "")}})
    print_table([Row(f"x{text}y", f"x{text}y")], ("name", "text"), "none")
    output.say(f"x{text}y")
    assert is_harmless(capsys.readouterr().out, but="\n")


@pytest.mark.parametrize("text", [*HOSTILE, "caf\udce9"])
def test_json_is_valid_and_has_no_control_characters(
    capsys: pytest.CaptureFixture[str], text: str
) -> None:
    print_json({f"k{text}": [Row(f"x{text}y", "", {text: text})]})
    shown = capsys.readouterr().out
    assert is_harmless(shown, but="\n")
    ((key, (row,)),) = json.loads(shown).items()
    if text.isascii():
        assert (key, row["name"]) == (f"k{text}", f"x{text}y")
        assert row["data"] == {text: text}


EVIL = "\x1b[31mred\x1b]0;title\x07\n\r\x9b2J\u202e[bold]:smile:"


def test_no_command_prints_control_characters_of_values(fleet_q: Command, tmp_path: Path) -> None:
    fleet_q("submit", json.dumps({"task_type": EVIL, EVIL: EVIL}), "--step-id", EVIL)
    with closing(SqliteStore(tmp_path / "fleet-q.db")) as store:
        store.sync(SyncRequest(EVIL, EVIL, Join(EVIL, EVIL), claim=1, claim_token=EVIL))
        failure = Fail(EVIL, EVIL, EVIL, traceback=EVIL, permanent=True)
        store.sync(SyncRequest(EVIL, EVIL, outcomes=(failure,)))
    assert "[bold]:smile:" in fleet_q("status", EVIL)[1]
    for words in (
        ["status", EVIL], ["history", EVIL], ["pods"], ["leader"], ["queue"], ["dlq", "list"],
        ["dlq", "list", "--limit", "1"], ["wait", EVIL], ["wait", "--timeout", "0", EVIL],
        ["cancel", EVIL], ["recover"], ["rebuild", "--check"], ["dlq", "replay", EVIL],
        ["cancel", EVIL], ["submit", "{}", "--step-id", EVIL], ["status", f"no {EVIL}"],
        ["submit", "{", "--step-id", EVIL], ["queue", "--store", f"sqlite:///{EVIL}"],
        ["worker", "--app", f"{EVIL}:x"], ["doctor", "--store", f"sqlite:///{EVIL}"],
        ["prune", "--older-than", EVIL], ["prune", "--older-than", "1s"], [EVIL], ["status"],
    ):  # fmt: skip
        for more in ([], ["--json"], ["-v"]):
            _, out, err = fleet_q(*words, *more)
            assert is_harmless(out, but="\n"), (words, more)
            assert is_harmless(err, but="\n\t"), (words, more)
            assert out or err


def test_pods_are_shown_in_80_columns_with_how_those_that_are_down_ended(
    fleet_q: Command, tmp_path: Path
) -> None:
    on_kubernetes = "fleet-q-7d9c6b4f5d-x2x8{}"
    leads, left, dead = map(on_kubernetes.format, "abc")
    with closing(SqliteStore(tmp_path / "fleet-q.db")) as store:
        for pod_id in (leads, left, dead):
            store.sync(SyncRequest(pod_id, "one", Join(pod_id, "one")))
        store.sync(SyncRequest(left, "one", Leave(left, "one")))
        store.declare_dead([pod for pod in store.pods().pods if pod.pod_id == dead])
    code, out, _ = fleet_q("pods", "--all")
    assert code == 0
    head, *lines = out.splitlines()
    assert head.split() == ["pod_id", "state", "last_heartbeat_ts", "version"]
    assert {line.split()[0]: " ".join(line.split()[1:-2]) for line in lines} == {
        leads: "up, leader",
        left: "left",
        dead: "dead",
    }
    assert max(map(len, out.splitlines())) <= 80
    pods = {pod["pod_id"]: pod for pod in json.loads(fleet_q("pods", "--all", "--json")[1])}
    assert [pods[pod_id]["ended"] for pod_id in (leads, left, dead)] == [
        None,
        "left",
        "declared_dead",
    ]


def test_history_is_shown_in_80_columns_with_times_for_people(
    fleet_q: Command, tmp_path: Path
) -> None:
    at = 1_768_653_296_123_456
    with closing(SqliteStore(tmp_path / "fleet-q.db", clock=lambda: at)) as store:
        store.submit([Submit("one", '{"n":1}', delay=1_500_000)])
        store.submit([Submit("two", '{"n":1}')])
        store.sync(SyncRequest("pod", "i", Join("pod", "i"), claim=1, claim_token="t"))
        failure = Fail("two", "t", "Boom", traceback="Traceback:\n  line\nBoom", retry_delay=7)
        store.sync(SyncRequest("pod", "i", outcomes=(failure,)))
    assert fleet_q("history", "one")[1].splitlines() == [
        "1    2026-01-17T12:34:56.123Z  submitted",
        '     payload       {"n":1}',
        "     priority      0",
        "     max_retries   3",
        "     available_ts  2026-01-17T12:34:57.623Z",
        "     queue         default",
    ]
    assert fleet_q("history", "two")[1].splitlines()[6:] == [
        "2    2026-01-17T12:34:56.123Z  claimed    pod",
        "     claim_token  t",
        "     incarnation  i",
        "3    2026-01-17T12:34:56.123Z  retried    pod",
        "     claim_token   t",
        "     error         Boom",
        "     traceback     Traceback:",
        "                     line",
        "                   Boom",
        "     available_ts  2026-01-17T12:34:56.123Z",
    ]
    exact = json.loads(fleet_q("history", "one", "--json")[1])[0]
    assert (exact["at"], exact["data"]["available_ts"]) == (
        "2026-01-17T12:34:56.123456Z",
        "2026-01-17T12:34:57.623456Z",
    )


def test_all_lines_of_a_wide_text_are_indented(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "terminal_width", lambda: 80)
    data = {"traceback": f"Traceback:\n{'x' * 90}", "result": "y" * 90}
    output.print_events([EventView(1, "retried", "2026-01-17T12:34:56.123456Z", "pod", data)])
    assert capsys.readouterr().out.splitlines()[1:] == [
        "     traceback:",
        "       Traceback:",
        "       " + "x" * 90,
        "     result:",
        "y" * 90,  # to be copied in one piece
    ]


def test_dead_letters_are_shown_whole_when_piped(fleet_q: Command, tmp_path: Path) -> None:
    payload = {"task_type": "t", "file": LONG}
    fleet_q("submit", json.dumps(payload), "--step-id", "one")
    with closing(SqliteStore(tmp_path / "fleet-q.db")) as store:
        store.sync(SyncRequest("pod", "one", Join("pod", "one"), claim=1, claim_token="its"))
        store.sync(
            SyncRequest("pod", "one", outcomes=(Fail("one", "its", LONG + "!", permanent=True),))
        )
    for words in (["dlq", "list"], ["history", "one"], ["status", "one"]):
        shown = fleet_q(*words)[1]
        assert LONG + "!" in shown, words
        assert f'"file":"{LONG}"' in shown, words


def test_dead_letters_take_a_line_each_in_80_columns(
    fleet_q: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = fleet_q("submit", "-", stdin=f'{{"file": "{LONG}"}}\n' * 2)[1].split()
    with closing(SqliteStore(tmp_path / "fleet-q.db")) as store:
        store.sync(SyncRequest("pod", "one", Join("pod", "one"), claim=2, claim_token="its"))
        ends = tuple(Fail(step_id, "its", LONG, permanent=True) for step_id in ids)
        store.sync(SyncRequest("pod", "one", outcomes=ends))
    monkeypatch.setattr(output, "terminal_width", lambda: 80)
    head, *lines = fleet_q("dlq", "list")[1].splitlines()
    assert head.split() == ["step_id", "type", "for", "error"]
    assert sorted(line.split()[0] for line in lines) == sorted(ids)
    assert all(len(line) <= 80 for line in lines)


@pytest.mark.parametrize("columns", [40, 200])
def test_status_in_a_terminal_shows_values_whole(
    fleet_q: Command, tmp_path: Path, columns: int
) -> None:
    fleet_q("submit", json.dumps({"file": LONG}), "--step-id", IDS[0])
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "fleet_q", "status", IDS[0]]
    env = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm-256color"}
    with subprocess.Popen(command, stdout=child, stderr=child, cwd=tmp_path, env=env) as process:
        os.close(child)
        shown = b"".join(iter(lambda: _read(parent), b"")).decode()
        assert process.wait(LIMIT) == 0
    os.close(parent)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).split("\r\n")
    assert any(line.endswith(IDS[0]) for line in lines)
    assert any(LONG in line for line in lines)
    assert "\x1b[1m" in shown


def test_ids_are_printed_on_stdout_while_stderr_shows_a_progress_bar(
    fleet_q: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(output, "err", Console(file=terminal, force_terminal=True))
    code, out, _ = fleet_q("submit", "-", stdin="{}\n{}\n")
    assert (code, [line[:5] for line in out.splitlines()]) == (0, ["step-"] * 2)
    assert "2 of 2 steps stored" in terminal.getvalue()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # its other end is closed
        return b""
