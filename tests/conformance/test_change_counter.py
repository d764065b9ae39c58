"""The change counter changes whenever another process has changed a step, and only then."""

from __future__ import annotations

from pathlib import Path

from fleet_q.core.ports import Store
from fleet_q.core.step import Complete

from .clock import FakeClock
from .helpers import acknowledge, claim, held_step, join, silent, submit
from .stores import StoreKind


def test_it_rings_for_what_another_client_does_to_a_step(clients: list[Store]) -> None:
    here, there = clients[:2]
    join(there)
    heard = [here.change_counter()]

    submit(there, "step")
    heard.append(here.change_counter())
    claim(there, token="token")
    heard.append(here.change_counter())
    acknowledge(there, Complete("step", "token", "1"))
    heard.append(here.change_counter())

    assert len(set(heard)) == 4


def test_it_is_silent_while_nothing_happens(clients: list[Store]) -> None:
    here, there = clients[:2]
    held_step(there)
    heard = here.change_counter()

    claim(there)
    there.counts()
    there.declare_dead(silent(there, 1_000))
    there.orphans("", 10)

    assert here.change_counter() == heard


def test_it_rings_for_who_was_not_there_when_it_rang(
    kind: StoreKind, store: Store, tmp_path: Path, clock: FakeClock
) -> None:
    if not kind.shared:
        return
    heard = store.change_counter()
    other = kind.open(tmp_path, clock)
    submit(other, "step")
    other.close()

    assert store.change_counter() != heard
