"""The command ``fleet-q doctor --probe``: what it says, asks, prints and writes."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet_q.adapters.snowflake.probe import examination
from fleet_q.adapters.snowflake.probe.result import Found
from fleet_q.adapters.snowflake.probe.room import Probe, Room
from fleet_q.adapters.snowflake.times import read_times
from tests.services.conftest import Command
from tests.standin.client import Schema

pytestmark = pytest.mark.slow

PROBE = ("doctor", "--probe", "--store", "snowflake://")


@pytest.fixture
def account(schema: Schema, monkeypatch: pytest.MonkeyPatch) -> Schema:
    """The stand-in as the account of the environment."""
    for name, value in schema.environment.items():
        monkeypatch.setenv(name, value)
    return schema


@pytest.fixture(autouse=True)
def two_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes that find a duration, and something else than expected."""

    def measure(room: Room) -> Found:
        room.shared.times["select"] = 0.5
        return Found("ok", "half a second")

    def differ(room: Room) -> Found:
        return Found("differs", "what\x1b[31m is " + "long " * 40)

    probes = (probe("first", measure), probe("second", differ))
    monkeypatch.setattr(examination, "PROBES", probes)


def probe(name: str, run: Callable[[Room], Found]) -> Probe:
    return Probe(
        name=name, expected="much", why="so", run=run, lane="reads", seconds=1, statements=1
    )


def fail(room: Room) -> Found:
    return Found("fail", "never")


def test_probe_says_what_it_does_and_does_nothing_unless_confirmed(
    fleet_q: Command, account: Schema
) -> None:
    code, out, err = fleet_q(*PROBE)
    assert (code, out) == (1, "")
    assert "--yes" in err
    assert f"in FLEET_Q.{account.name}" in err
    assert "statements in" in err
    assert "credits" in err
    assert account.log() == []


def test_table_of_answers_fits_80_columns(fleet_q: Command, account: Schema) -> None:
    code, out, err = fleet_q(*PROBE, "--yes")
    assert code == 0
    assert max(map(len, (out + err).splitlines())) <= 80
    assert "\x1b" not in out
    rows = [line.split()[0] for line in out.splitlines() if line[:1].strip()]
    assert rows == ["ok", "ok", "differs"]
    assert "0.50" in out


def test_json_has_answers_and_durations(fleet_q: Command, account: Schema) -> None:
    code, out, _ = fleet_q(*PROBE, "--yes", "--json")
    report = json.loads(out)
    assert code == 0
    assert [result["verdict"] for result in report["results"]] == ["ok", "ok", "differs"]
    assert report["times"] == {"select": 0.5}
    assert report["leftovers"] == []


def test_latencies_are_a_file_that_simulate_takes(
    fleet_q: Command, account: Schema, tmp_path: Path
) -> None:
    file = tmp_path / "latencies.json"
    assert fleet_q(*PROBE, "--yes", "--latencies", str(file))[0] == 0
    assert read_times(file).select == 0.5
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == [file.name]


def test_latencies_are_written_whole_or_not_at_all(
    fleet_q: Command, account: Schema, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "latencies.json"
    file.write_text("old")

    def full(*paths: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert fleet_q(*PROBE, "--yes", "--latencies", str(file))[0] == 1
    assert (os.listdir(tmp_path), file.read_text()) == ([file.name], "old")


def test_missing_folder_of_latencies_is_an_error_before_the_probe(
    fleet_q: Command, account: Schema, tmp_path: Path
) -> None:
    code, _, err = fleet_q(*PROBE, "--yes", "--latencies", str(tmp_path / "no" / "file"))
    assert (code, "no such folder" in err) == (1, True)
    assert account.log() == []


def test_exit_code_is_1_if_a_probe_failed(
    fleet_q: Command, account: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examination, "PROBES", (probe("third", fail),))
    code, _, err = fleet_q(*PROBE, "--yes")
    assert code == 1
    assert err.endswith("fleet-q: failed probes: third\n")


def test_leftover_tables_are_named_in_one_line(fleet_q: Command, account: Schema) -> None:
    account.fault("error", matching="DROP TABLE .*READS_OTHER", code="000001", message="no")
    _, _, err = fleet_q(*PROBE, "--yes")
    (line,) = [line for line in err.splitlines() if "could not drop" in line]
    assert "_OTHER" in line


@pytest.mark.parametrize("words", [("--yes",), ("--long",), ("--latencies", "file")])
def test_options_of_the_probe_need_it(fleet_q: Command, words: tuple[str, ...]) -> None:
    code, out, err = fleet_q("doctor", *words)
    assert (code, out, "need --probe" in err) == (1, "", True)


def test_probe_of_a_file_is_an_error(fleet_q: Command) -> None:
    code, out, err = fleet_q("doctor", "--probe", "--yes")
    assert (code, out, "snowflake://" in err) == (1, "", True)
