"""The guards of the core, flipped off in turn: the simulation misses every one of them."""

from __future__ import annotations

import pytest

from fleet_q.services.simulation.draw import draw
from fleet_q.services.simulation.fleet import simulate
from fleet_q.services.simulation.mutations import MOST_SEEDS, MUTATIONS, Mutation, look_for

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.guard)
def test_the_loss_of_a_guard_is_noticed(mutation: Mutation) -> None:
    finding = look_for(mutation)
    assert finding.promise is not None
    assert finding.seeds <= MOST_SEEDS


def test_a_guard_is_back_when_it_has_been_looked_for() -> None:
    for mutation in MUTATIONS:
        with mutation.flipped():
            pass
    assert simulate(draw(1)).violation is None
