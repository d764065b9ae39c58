"""The promises that are not read from one commit can be seen broken, too."""

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
        ("somebody recovers", "orphans come back"),
        ("who sleeps hears the bell", "work is found"),
        ("a sleeper leads if nobody else does", "somebody leads"),
        ("what would wait for long is released", "nothing is hoarded"),
        ("what has waited begins once its claim is confirmed", "what begins is claimed"),
        ("a turn asked again is not done twice", "what is held is run"),
    ],
)
def test_without_a_guard_a_promise_breaks(guard: str, promise: str) -> None:
    mutation = next(mutation for mutation in MUTATIONS if mutation.guard == guard)
    broken = set()
    for seed in range(1, MOST_SEEDS + 1):
        with mutation.removed():
            violation = simulate(draw(seed)).violation
        broken.add(violation.promise if violation is not None else None)
        if promise in broken:
            break
    assert promise in broken


def test_a_step_that_is_gone_is_missed() -> None:
    fleet = Fleet(draw(1))
    fleet.run()
    fleet.accepted.add("a step that nobody stored")
    with pytest.raises(Violation, match=r"^nothing lost: a step that nobody stored"):
        fleet.check_end()


def test_a_step_that_vanishes_without_having_been_pruned_is_missed() -> None:
    fleet = Fleet(draw(1))
    fleet.run()
    step_id = next(iter(fleet.database.steps))
    del fleet.database.steps[step_id], fleet.database.step_log[step_id]
    with pytest.raises(Violation, match=rf"^nothing lost: {step_id}"):
        fleet.check_end()


def test_a_step_that_never_ends_is_missed() -> None:
    fleet = Fleet(draw(1))
    fleet.checks.unfinished += 1
    with pytest.raises(Violation, match=r"^everything ends: "):
        fleet.run()


def test_a_log_that_contradicts_itself_is_seen() -> None:
    fleet = Fleet(draw(1))
    fleet.run()
    log = next(iter(fleet.database.step_log.values()))
    log.append(log[-1])
    with pytest.raises(Violation, match=r"^the log: "):
        fleet.check_end()


def test_a_table_that_differs_from_the_log_is_seen() -> None:
    fleet = Fleet(draw(1))
    fleet.run()
    del fleet.database.steps[next(iter(fleet.database.steps))]
    with pytest.raises(Violation, match=r"^tables: "):
        fleet.check_end()


def test_time_that_stands_still_is_seen() -> None:
    virtual_clock = VirtualClock()

    def again() -> None:
        virtual_clock.after(0.0, again)

    again()
    with pytest.raises(Violation, match=r"^time goes on: "):
        virtual_clock.run(1.0)
