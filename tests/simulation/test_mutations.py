"""Every mutation removes a guard of the code, and the simulation detects it."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
import typer
from typer.testing import CliRunner

import tests.mutations.__main__ as command
from fleet_q.services.simulation.fleet import simulate
from fleet_q.services.simulation.generate import draw
from tests.mutations import MUTATIONS
from tests.mutations.guards import MOST_SEEDS, Finding, Mutation, look_for

PROMISES: Final = {
    "orphans are looked for": "orphans are recovered",
    "a sleeping pod notices a change of the change counter": "claimable steps are claimed",
    "a sleeping pod leads if no other pod does": "some pod leads",
    "a prefetched step that would wait for long is released": "no step waits in vain",
    "a step that has waited begins only under a confirmed claim": "only claimed steps begin",
    "a retried sync is not done twice": "held steps are run",
    "a pod stops if its store fails for too long": "pods give up",
}
"""Guards, with a promise that breaks without them: of the liveness checks, each at least once."""


@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.guard)
def test_removal_of_guard_is_detected(mutation: Mutation) -> None:
    finding = look_for(mutation, promise=PROMISES.get(mutation.guard))
    assert finding.promise is not None
    assert finding.seeds <= MOST_SEEDS


def test_guards_of_liveness_exist() -> None:
    assert PROMISES.keys() <= {mutation.guard for mutation in MUTATIONS}


def test_removed_guards_are_restored() -> None:
    for mutation in MUTATIONS:
        with mutation.removed():
            pass
    assert simulate(draw(1)).violation is None


def run(monkeypatch: pytest.MonkeyPatch, promise: str | None, *args: str) -> Any:
    """Run the command; every mutation's finding is ``promise``."""
    monkeypatch.setattr(command, "look_for", lambda mutation: Finding(mutation.guard, promise, 3))
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
