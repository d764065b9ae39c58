"""The command ``fleet-q simulate``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fleet_q.core.errors import InvalidInput
from fleet_q.services.cli import simulation_runs
from fleet_q.services.cli.commands import cli
from fleet_q.services.cli.simulation_runs import Size


def run(*args: str) -> str:
    result = CliRunner().invoke(cli, ["simulate", *args], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_one_seed_prints_its_figures() -> None:
    figures = json.loads(run("--seed", "3", "--json"))
    assert figures["seed"] == 3
    assert figures["submitted"] == figures["completed"] + figures["failed"] + figures["cancelled"]
    assert figures["unfinished"] == 0


def test_several_seeds_print_sums_and_json_of_each() -> None:
    assert "promises broken" in run("--seeds", "2")
    assert [fleet["seed"] for fleet in json.loads(run("--seeds", "2", "--json"))] == [1, 2]


def test_fleet_of_given_size_is_measured_and_plotted(tmp_path: Path) -> None:
    image = tmp_path / "fleet.svg"
    figures = json.loads(
        run("--pods", "5", "--hours", "0.5", "--steps", "40", "--store-model", "hybrid", "--json",
            "--picture", str(image))
    )  # fmt: skip
    assert (figures["pods"], figures["store"]) == (5, "hybrid")
    assert 30 < figures["submitted"] <= 40
    assert figures["claim_p50"] <= figures["claim_p99"]
    assert image.read_text().count("<path") > 10


def test_repeat_command_has_all_options() -> None:
    size = Size(pods=5, hours=0.5, store="hybrid")
    assert size.command(7) == "fleet-q simulate --seed 7 --pods 5 --hours 0.5 --store-model hybrid"


def test_repeat_command_names_clusters_and_latencies() -> None:
    size = Size(clusters=4, latencies=Path("times.json"))
    assert size.command(7).endswith("--seed 7 --warehouse-clusters 4 --latencies times.json")


def test_latencies_of_an_account_are_taken_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "times.json"
    options = ("--pods", "3", "--hours", "0.5", "--steps", "20", "--store-model", "standard")
    medians = []
    for request in (0.05, 10.0):
        path.write_text(json.dumps({"request": request}))
        figures = json.loads(run(*options, "--json", "--latencies", str(path)))
        medians.append(figures["claim_p50"])
    assert medians[0] < medians[1]


def test_invalid_latencies_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "times.json"
    path.write_text('{"updates": 1}')
    with pytest.raises(InvalidInput, match="unknown field `updates`"):
        run("--latencies", str(path))


def test_table_has_a_row_for_every_fleet_and_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation_runs, "FLEETS", (Size(pods=2, store="hybrid", steps=5),))
    monkeypatch.setattr("fleet_q.services.simulation.generate.BURST_STEPS", 200)
    rows = json.loads(run("--table", "--json"))
    assert [(row["pods"], row["store"]) for row in rows] == [
        (2, "hybrid"), (20, "standard"), (20, "hybrid"),
    ]  # fmt: skip
    assert [row["completed"] for row in rows[1:]] == [200, 200]
    assert run("--table").count("| 20 | standard, burst | 200 | 0 | 0 |") == 1


def test_picture_of_unknown_type_is_rejected() -> None:
    with pytest.raises(InvalidInput):
        CliRunner().invoke(cli, ["simulate", "--picture", "fleet.txt"], catch_exceptions=False)
