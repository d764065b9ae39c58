"""The guards of the core, removed in turn: the simulation notices the loss of every one."""

from __future__ import annotations

import json
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import tests.mutations.__main__ as command
from fleet_q.services.simulation.fleet import simulate
from fleet_q.services.simulation.generate import draw
from tests.mutations import MUTATIONS
from tests.mutations.guards import MOST_SEEDS, Finding, Mutation, look_for


@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.guard)
def test_the_loss_of_a_guard_is_noticed(mutation: Mutation) -> None:
    finding = look_for(mutation)
    assert finding.promise is not None
    assert finding.seeds <= MOST_SEEDS


def test_a_guard_is_back_when_it_has_been_looked_for() -> None:
    for mutation in MUTATIONS:
        with mutation.removed():
            pass
    assert simulate(draw(1)).violation is None


def run(monkeypatch: pytest.MonkeyPatch, promise: str | None, *args: str) -> Any:
    """The command, with findings that are given."""
    monkeypatch.setattr(command, "look_for", lambda each: Finding(each.guard, promise, 3))
    app = typer.Typer()
    app.command()(command.main)
    return CliRunner().invoke(app, args)


def test_the_command_prints_a_line_for_each_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, "tokens")
    assert result.exit_code == 0
    assert [line.partition(":")[0] for line in result.stdout.splitlines()] == [
        mutation.guard for mutation in MUTATIONS
    ]


def test_the_command_fails_if_the_loss_of_a_guard_is_not_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = run(monkeypatch, None, "--json")
    assert result.exit_code == 1
    assert all(each["promise"] is None for each in json.loads(result.stdout))
    assert MUTATIONS[0].guard in result.stderr
