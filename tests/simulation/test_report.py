"""Figures of a run, and the text of every fault."""

from __future__ import annotations

from typing import Any, cast, get_args

from fleet_q.core import events as ev
from fleet_q.core.events import Event
from fleet_q.services.simulation import scenario as sc
from fleet_q.services.simulation.fleet import Fleet, simulate
from fleet_q.services.simulation.generate import draw
from fleet_q.services.simulation.models import Kind
from fleet_q.services.simulation.pod_process import process_of
from fleet_q.services.simulation.report import describe_fault, figures, markdown


def test_every_fault_is_described() -> None:
    faults = [fault for seed in range(1, 25) for fault in draw(seed).faults]
    assert {type(fault) for fault in faults} == set(get_args(sc.Fault))
    assert all(describe_fault(fault) for fault in faults)


def fleet_after(seconds: float, *, kind: Kind = "standard", dies: bool) -> tuple[Fleet, Any, Any]:
    """A fleet of two pods, one of which holds a step and perhaps dies; that pod and its step."""
    work = (sc.Work(step_id="held", seconds=3_600.0),)
    scenario = sc.Scenario(
        seed=1,
        store=kind,
        settings=draw(1, pods=2).settings,
        seconds=seconds,
        pods=(sc.Start("a"), sc.Start("b", 5.0)),
        requests=(sc.Submission(30.0, work),),
        faults=(),
        is_measured=True,
    )
    fleet = Fleet(scenario)
    for pod in scenario.pods:
        fleet.virtual_clock.at(pod.at, fleet.begin, pod.pod_id)
    fleet.virtual_clock.at(30.0, fleet._send, scenario.requests[0])
    fleet.virtual_clock.run(seconds)
    step = fleet.database.steps["held"]
    process = fleet.processes[str(step.claimed_by)]
    if dies:
        fleet._on_death(process, None)
    return fleet, process, step


def declare_dead_and_recover(fleet: Fleet, process: Any, step: Any) -> None:
    event: Any = Event(process.name, 9, 0, "leader", ev.DeclaredDead(str(step.incarnation)))
    fleet.measures.pods_changed([(event, cast("Any", None))])
    recovered: Any = Event("held", 3, 0, "leader", ev.Recovered(step.claim_token, "died"))
    fleet.measures.committed("recover", [(recovered, step)])


def test_steps_of_dead_and_of_living_pods_are_counted_apart() -> None:
    for dies in (True, False):
        fleet, process, step = fleet_after(100.0, dies=dies)
        assert process_of(str(step.incarnation)) == process.process_id
        declare_dead_and_recover(fleet, process, step)
        counts = (fleet.measures.recovered, fleet.measures.recovered_from_living)
        assert counts == (1, 0 if dies else 1)


def test_pod_that_was_frozen_counts_as_dead() -> None:
    fleet, process, step = fleet_after(100.0, dies=False)
    process.freeze(90.0)
    declare_dead_and_recover(fleet, process, step)
    assert (fleet.measures.recovered, fleet.measures.recovered_from_living) == (1, 0)


def test_rejected_syncs_are_a_share_apart_from_those_by_faults() -> None:
    fleet = simulate(draw(1, pods=2, hours=0.05, steps=5, store="standard"))
    stats = fleet.fleet.server.stats
    stats.syncs = 100
    stats.on_rejected("sync", by_fault=False)
    stats.on_rejected("sync", by_fault=True)
    stats.on_rejected("submit", by_fault=False)
    row = figures(fleet)
    assert (row.rejected_syncs, row.refused_by_lock) == (0.01, 3)
    assert row.lock_seconds_a_step is not None
    assert "| 1.0 % |" in markdown([row])
