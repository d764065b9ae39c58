"""The command ``fleet-q simulate``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fleet_q.core.errors import InvalidInput
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


def test_picture_of_unknown_type_is_rejected() -> None:
    with pytest.raises(InvalidInput):
        CliRunner().invoke(cli, ["simulate", "--picture", "fleet.txt"], catch_exceptions=False)
