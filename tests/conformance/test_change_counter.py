"""The change counter changes whenever another process has changed a step, and only then."""

from __future__ import annotations

from pathlib import Path

from fleet_q.core.ports import Store
from fleet_q.core.step import Complete

from .clock import FakeClock
from .helpers import acknowledge, claim, held_step, join, silent, submit
from .stores import StoreKind


def test_change_counter_changes_when_another_client_changes_a_step(clients: list[Store]) -> None:
    here, there = clients[:2]
    join(there)
    counters = [here.change_counter()]

    submit(there, "step")
    counters.append(here.change_counter())
    claim(there, token="token")
    counters.append(here.change_counter())
    acknowledge(there, Complete("step", "token", "1"))
    counters.append(here.change_counter())

    assert len(set(counters)) == 4


def test_change_counter_stays_the_same_while_nothing_happens(clients: list[Store]) -> None:
    here, there = clients[:2]
    held_step(there)
    counter = here.change_counter()

    claim(there)
    there.counts()
    there.declare_dead(silent(there, 1_000))
    there.orphans("", 10)

    assert here.change_counter() == counter


def test_change_counter_differs_after_a_change_while_the_client_was_closed(
    kind: StoreKind, store: Store, tmp_path: Path, clock: FakeClock
) -> None:
    if not kind.shared:
        return
    counter = store.change_counter()
    other = kind.open(tmp_path, clock)
    submit(other, "step")
    other.close()

    assert store.change_counter() != counter
