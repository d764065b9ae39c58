"""Simulated functions that save checkpoints while they run."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from msgspec.structs import replace

from fleet_q.core.calls import StoreCall
from fleet_q.core.errors import StaleClaim, StoreUnavailable
from fleet_q.core.step import SaveCheckpoint, Step
from fleet_q.services.simulation import scenario as sc
from fleet_q.services.simulation.actor import Actor, Process
from fleet_q.services.simulation.client import MAX_RETRY_WAIT

SHARE: Final = 0.3
"""The share of the scenarios in which functions save checkpoints."""


def with_checkpoints(scenario: sc.Scenario) -> sc.Scenario:
    """Let functions of some scenarios save checkpoints."""
    chance = Random(f"scenario {scenario.seed}, checkpoints")
    if chance.random() > SHARE:
        return scenario
    return sc.with_changed_steps(
        scenario, lambda work: replace(work, saves=chance.choice([0, 0, 1, 3]))
    )


class Saver(Actor):
    """A function of ``process`` that calls the store. It is killed and frozen with its process, and
    a fault that kills it kills the process."""

    def __init__(self, process: Actor) -> None:
        super().__init__(process.name, process.virtual_clock, process.server)
        self.process = process
        self.frozen_until = process.frozen_until


def saving(
    process: Actor,
    step: Step,
    work: sc.Work,
    *,
    is_running: Callable[[], bool],
    on_saved: Callable[[int], object],
    on_lost: Callable[[], object],
    on_end: Callable[[], object],
) -> Process:
    """Work, and save a number after each part of the work: one more than the last one that was
    saved. A save is repeated until it is answered; ``on_saved`` is called with its number, or
    ``on_lost`` if the claim is lost, and then the function only waits to be stopped. ``on_end`` is
    called when the work is done, unless it hangs."""
    assert step.claim_token is not None
    clock, chance = process.virtual_clock, Random(f"{step.claim_token}, saves")
    part = work.seconds / (work.saves + 1)
    number, version = number_in(step), step.version
    for _ in range(work.saves):
        yield clock.now + part
        number += 1
        save = SaveCheckpoint(step.step_id, step.claim_token, str(number), version)
        while is_running():
            try:
                yield StoreCall("save_checkpoint", (save, process.name))
            except StoreUnavailable:
                yield clock.now + chance.uniform(0, MAX_RETRY_WAIT)
            except StaleClaim:
                on_lost()
                return
            else:
                on_saved(number)
                version += 1
                break
        if not is_running():
            return
    yield clock.now + part
    if work.behaves(step.attempt) != "hangs":
        clock.at(clock.now, on_end)  # which may kill the process, and this one with it


def number_in(step: Step) -> int:
    """The number in its checkpoint; 0 without one."""
    return int(step.checkpoint or 0)
