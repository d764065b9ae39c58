"""A failing scenario is shrunk, and reported with its history and the command to repeat it."""

from __future__ import annotations

import json

import pytest

from fleet_q.core.errors import FleetQError
from fleet_q.services.cli.simulation_runs import Size, run_seeds
from fleet_q.services.simulation.fleet import simulate
from fleet_q.services.simulation.generate import draw
from fleet_q.services.simulation.report import history
from fleet_q.services.simulation.shrink import Shrinker
from tests.mutations import MUTATIONS

pytestmark = pytest.mark.slow

TOKENS = next(m for m in MUTATIONS if m.guard == "a change carries the step's claim token")


def failing_seed() -> int:
    """Return a failing seed on hybrid tables, where pods are less busy than on a file."""
    with TOKENS.removed():
        return next(
            seed
            for seed in range(200)
            if (scenario := draw(seed)).store == "hybrid" and simulate(scenario).violation
        )


def test_shrinking_removes_parts_that_are_not_needed() -> None:
    seed = failing_seed()
    with TOKENS.removed():
        outcome = simulate(draw(seed))
        runs: list[int] = []
        smallest = Shrinker(outcome, runs.append).shrink()
        again = simulate(smallest.scenario)
    assert outcome.violation is not None
    assert smallest.violation is not None
    assert again.violation is not None
    assert smallest.violation.promise == outcome.violation.promise
    assert str(again.violation) == str(smallest.violation)
    assert len(smallest.scenario.faults) < len(outcome.scenario.faults)
    assert smallest.scenario.steps < outcome.scenario.steps
    assert runs == list(range(1, len(runs) + 1))
    lines = history(smallest)
    assert [line[:10] for line in lines] == sorted(line[:10] for line in lines)
    assert lines[-1].endswith(f"broken: {smallest.violation}")


def test_failure_reports_seed_history_and_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet_q.services.simulation.shrink.MOST_RUNS", 20)
    seed = failing_seed()
    with TOKENS.removed(), pytest.raises(FleetQError, match=f"simulate --seed {seed}$"):
        run_seeds(range(seed, seed + 1), Size(), None, json=True)
    report = json.loads(capsys.readouterr().out)
    assert report["replay"] == f"fleet-q simulate --seed {seed}"
    assert report["violation"].startswith("tokens: ")
    assert len(report["history"]) > 3
