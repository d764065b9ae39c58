"""Checks at the end of a simulation can fail, too."""

from __future__ import annotations

import pytest

from fleet_q.services.simulation.fleet import Fleet
from fleet_q.services.simulation.generate import draw
from fleet_q.services.simulation.records import StepRecord
from fleet_q.services.simulation.violation import Violation
from fleet_q.services.simulation.virtual_clock import VirtualClock

pytestmark = pytest.mark.slow


def test_missing_step_is_detected() -> None:
    fleet = Fleet(draw(1))
    fleet.run()
    fleet.accepted.add("a step that nobody stored")
    with pytest.raises(Violation, match=r"^nothing lost: a step that nobody stored"):
        fleet.check_end()


def test_step_that_vanished_without_pruning_is_detected() -> None:
    fleet = Fleet(draw(1))
    fleet.run()
    step_id = next(iter(fleet.database.steps))
    del fleet.database.steps[step_id], fleet.database.step_log[step_id]
    with pytest.raises(Violation, match=rf"^nothing lost: {step_id}"):
        fleet.check_end()


def test_step_that_never_ends_is_detected() -> None:
    fleet = Fleet(draw(1))
    fleet.checks.steps["never ends"] = StepRecord(0, 3, 0, 0, status="claimed")
    fleet.checks.unfinished += 1
    with pytest.raises(Violation, match=r"^every step ends: "):
        fleet.run()


def test_duplicate_event_is_detected() -> None:
    fleet = Fleet(draw(1))
    fleet.run()
    log = next(iter(fleet.database.step_log.values()))
    log.append(log[-1])
    with pytest.raises(Violation, match=r"^log: "):
        fleet.check_end()


def test_table_that_differs_from_log_is_detected() -> None:
    fleet = Fleet(draw(1))
    fleet.run()
    del fleet.database.steps[next(iter(fleet.database.steps))]
    with pytest.raises(Violation, match=r"^tables: "):
        fleet.check_end()


def test_endless_loop_at_one_instant_is_detected() -> None:
    virtual_clock = VirtualClock()

    def again() -> None:
        virtual_clock.after(0.0, again)

    again()
    with pytest.raises(Violation, match=r"^time advances: "):
        virtual_clock.run(1.0)
