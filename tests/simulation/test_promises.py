"""Liveness checks and checks at the end can fail, too."""

from __future__ import annotations

import pytest

from fleet_q.services.simulation.fleet import Fleet, simulate
from fleet_q.services.simulation.generate import draw
from fleet_q.services.simulation.violation import Violation
from fleet_q.services.simulation.virtual_clock import VirtualClock
from tests.mutations import MUTATIONS
from tests.mutations.guards import MOST_SEEDS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("guard", "promise"),
    [
        ("orphans are looked for", "orphans are recovered"),
        ("a sleeping pod notices a change of the change counter", "claimable steps are claimed"),
        ("a sleeping pod leads if no other pod does", "some pod leads"),
        ("a prefetched step that would wait for long is released", "no step waits in vain"),
        ("a step that has waited begins only under a confirmed claim", "only claimed steps begin"),
        ("a retried sync is not done twice", "held steps are run"),
        ("a pod stops if its store fails for too long", "pods give up"),
    ],
)
def test_removal_of_guard_breaks_promise(guard: str, promise: str) -> None:
    mutation = next(mutation for mutation in MUTATIONS if mutation.guard == guard)
    broken = set()
    for seed in range(1, MOST_SEEDS + 1):
        with mutation.removed():
            violation = simulate(draw(seed)).violation
        broken.add(violation.promise if violation is not None else None)
        if promise in broken:
            break
    assert promise in broken


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
