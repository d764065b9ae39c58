"""Fleets of many seeds, on all store models: no promise breaks."""

from __future__ import annotations

from collections import Counter
from typing import get_args

import msgspec
import pytest

from fleet_q.services.simulation import scenario as sc
from fleet_q.services.simulation.fleet import simulate
from fleet_q.services.simulation.generate import draw
from fleet_q.services.simulation.models import KINDS

SEEDS = range(1, 25)

FOUND = (113, 138, 173, 218, 290, 331, 431, 671, 910)
"""Seeds that once broke a promise, because of an error in the simulator or in the core."""


@pytest.mark.parametrize(
    "seed", [*SEEDS[:4], *(pytest.param(s, marks=pytest.mark.slow) for s in (*SEEDS[4:], *FOUND))]
)
def test_no_promise_breaks(seed: int) -> None:
    outcome = simulate(draw(seed))
    assert outcome.violation is None


@pytest.mark.slow
def test_seeds_cover_every_fault_behaviour_and_event() -> None:
    """Every store model, fault and behaviour is drawn, and every event of steps and pods occurs."""
    stores: set[str] = set()
    faults: set[type] = set()
    behaviours: set[str] = set()
    events: Counter[str] = Counter()
    pruned = by_hand = routed = 0
    for seed in SEEDS:
        scenario = draw(seed)
        by_hand += sum(pod.by_hand for pod in scenario.pods)
        routed += sum(
            pod.queues is not None and pod.task_types is not None for pod in scenario.pods
        )
        stores.add(scenario.store)
        faults.update(type(fault) for fault in scenario.faults)
        for request in scenario.requests:
            if isinstance(request, sc.Submission):
                behaviours.update(work.behaviour for work in request.steps)
        if seed < 17:
            fleet = simulate(scenario).fleet
            events += fleet.measures.counts
            pruned += fleet.measures.pruned
            for log in fleet.database.pod_log.values():
                events.update(event.fact.type for event in log)
    assert stores == set(KINDS)
    assert faults == set(get_args(sc.Fault))
    assert pruned > 100
    assert by_hand > 10
    assert routed > 10
    assert behaviours == set(get_args(sc.Behaviour))
    assert set(events) == {
        "submitted", "claimed", "completed", "retried", "released", "recovered", "failed",
        "cancelled", "replayed", "replaced", "rejected", "checkpointed", "reprioritized", "snoozed",
        "ready", "parents_added", "restored", "joined", "slept", "woke", "draining", "left",
        "declared_dead",
    }  # fmt: skip


def test_same_seed_gives_same_history() -> None:
    def history(seed: int) -> bytes:
        database = simulate(draw(seed)).fleet.database
        return msgspec.msgpack.encode([database.step_log, database.pod_log])

    assert history(7) == history(7)
    assert history(7) != history(8)


@pytest.mark.parametrize("store", KINDS)
def test_fleet_of_given_size_is_measured(store: str) -> None:
    outcome = simulate(draw(1, pods=12, hours=0.5, steps=120, store=store))  # type: ignore[arg-type]
    measures, stats = outcome.fleet.measures, outcome.fleet.server.stats
    assert outcome.violation is None
    assert outcome.fleet.checks.unfinished == 0
    assert len(measures.claim_waits) >= 100
    assert stats.statements > stats.calls > 100
    assert measures.samples[-1].seconds == pytest.approx(1_800, abs=10)
