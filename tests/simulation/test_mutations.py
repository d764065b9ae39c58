"""Every mutation removes a guard of the code, and the simulation detects it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import tests.mutations.__main__ as command
from fleet_q.services.simulation.fleet import simulate
from fleet_q.services.simulation.generate import draw
from tests.mutations import MUTATIONS, PROMISES
from tests.mutations.guards import Finding, Mutation, known_seeds, look_for


@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.guard)
def test_removal_of_guard_is_detected(mutation: Mutation) -> None:
    finding = look_for(mutation, promise=PROMISES.get(mutation.guard))
    assert finding.promise is not None


def test_guards_with_a_promise_or_a_known_seed_exist() -> None:
    guards = {mutation.guard for mutation in MUTATIONS}
    assert PROMISES.keys() <= guards
    assert known_seeds().keys() <= guards


def test_removed_guards_are_restored() -> None:
    for mutation in MUTATIONS:
        with mutation.removed():
            pass
    assert simulate(draw(1)).violation is None


def run(monkeypatch: pytest.MonkeyPatch, promise: str | None, *args: str) -> Any:
    """Run the command; every mutation's finding is ``promise``."""
    monkeypatch.setattr(
        command, "look_for", lambda mutation, **_: Finding(mutation.guard, promise, 3)
    )
    app = typer.Typer()
    app.command()(command.main)
    return CliRunner().invoke(app, args)


def test_command_prints_a_line_for_each_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, "tokens")
    assert result.exit_code == 0
    assert [line.partition(":")[0] for line in result.stdout.splitlines()] == [
        mutation.guard for mutation in MUTATIONS
    ]


def test_command_fails_if_removal_is_not_detected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = run(monkeypatch, None, "--json")
    assert result.exit_code == 1
    assert all(finding["promise"] is None for finding in json.loads(result.stdout))
    assert MUTATIONS[0].guard in result.stderr


def test_command_saves_the_seeds_that_detect_removals(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "SEEDS", tmp_path / "seeds.json")
    assert run(monkeypatch, "tokens", "--save").exit_code == 0
    seeds = json.loads((tmp_path / "seeds.json").read_bytes())
    assert seeds == {mutation.guard: 3 for mutation in MUTATIONS}
