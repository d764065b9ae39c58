"""How soon a pod claims when the bell has called everybody."""

from __future__ import annotations

import pytest

from fleet_q.core.ports import StoreTraits
from fleet_q.core.worker.pacing import JITTER_DECAY, JITTER_FACTOR, LONGEST_JITTER, ClaimPacing
from tests.core.helpers import Pilot

CROWDED = StoreTraits(writes_are_billed=True, most_waiters=20, shortest_sync=0.5)


def took(pace: ClaimPacing, *seconds: float) -> None:
    """So many turns, that took so long."""
    for each in seconds:
        pace.sent(100.0)
        pace.on_synced(100.0 + each, is_representative=True)


def half() -> float:
    return 0.5


def test_who_never_waited_comes_at_once() -> None:
    pace = ClaimPacing(CROWDED)
    took(pace, 0.5, 0.5, 0.5)
    assert pace.claim_at(7.0, half) == 7.0


def test_who_only_looks_tells_nothing_of_how_long_turns_wait() -> None:
    pace = ClaimPacing(CROWDED)
    pace.sent(100.0)
    pace.on_synced(100.1, is_representative=False)
    took(pace, 1.1, 1.1)
    assert pace.claim_at(7.0, half) == 7.0


def test_who_waited_comes_within_some_times_the_wait() -> None:
    pace = ClaimPacing(CROWDED)
    took(pace, 0.5, 2.5)
    assert pace.claim_at(7.0, half) == pytest.approx(7.0 + JITTER_FACTOR * 2.0 / 2)


def test_a_wait_is_forgotten_bit_by_bit() -> None:
    pace = ClaimPacing(CROWDED)
    took(pace, 0.5, 2.5, 0.5, 0.5)
    assert pace.claim_at(0.0, half) == pytest.approx(JITTER_FACTOR * 2.0 / 2 * JITTER_DECAY**2)


def test_who_is_turned_away_spreads_twice_as_far() -> None:
    pace = ClaimPacing(CROWDED)
    took(pace, 0.75)
    pace.on_rejected()
    assert pace.claim_at(0.0, half) == pytest.approx(0.75)
    pace.on_rejected()
    assert pace.claim_at(0.0, half) == pytest.approx(1.5)


def test_a_full_queue_takes_as_long_as_all_who_wait_in_it_at_most() -> None:
    pace = ClaimPacing(CROWDED)
    pace.sent(100.0)
    pace.on_synced(100.5, is_representative=False)
    pace.on_rejected()
    pace.on_rejected()
    assert pace.queue_duration == 2.0
    took(pace, 0.5, 0.25, 3.0)
    assert pace.queue_duration == pytest.approx(20 * 0.25)


def test_wait_after_rejection_is_the_spread_if_any_number_may_wait_for_a_lock() -> None:
    pace = ClaimPacing(StoreTraits(most_waiters=None))
    took(pace, 0.25, 3.0)
    pace.on_rejected()
    assert pace.queue_duration == 2 * JITTER_FACTOR * 2.75


def test_first_spread_after_rejection_is_as_long_as_the_shortest_sync() -> None:
    for seconds in (0.5, 3.0):
        pace = ClaimPacing(StoreTraits(most_waiters=20, shortest_sync=seconds))
        pace.on_rejected()
        assert pace.queue_duration == 2 * seconds


def test_who_has_only_seen_turns_that_waited_soon_looks_how_long_the_queue_is() -> None:
    pace = ClaimPacing(CROWDED)
    took(pace, 3.0)
    pace.on_rejected()
    assert pace.queue_duration == 2 * 3.0


def test_a_crowd_that_joins_is_no_reason_to_heed_the_bell_late() -> None:
    pace = ClaimPacing(CROWDED)
    for _ in range(5):
        pace.on_rejected()
    pace.joined()
    assert pace.claim_at(7.0, half) == 7.0


def test_nobody_stays_away_for_ever() -> None:
    pace = ClaimPacing(CROWDED)
    took(pace, 0.5, 60.0)
    for _ in range(9):
        pace.on_rejected()
    assert pace.claim_at(0.0, half) == LONGEST_JITTER / 2


def test_a_pod_that_waited_heeds_the_bell_within_its_spread() -> None:
    pilot = Pilot(
        traits=StoreTraits(writes_are_billed=True), claim_interval=60.0, heartbeat_interval=20.0
    )
    pilot.take_turn()
    for seconds in (0.0, 2.0):
        pilot.machine.work_arrived()
        request = pilot.sync()
        pilot.wait(seconds)
        pilot.answer(request, f"after {seconds} s")
    pilot.machine.on_change_counter(1, pilot.now)
    pilot.machine.on_change_counter(2, pilot.now)
    assert pilot.plan().request is None
    pilot.wait(JITTER_FACTOR * 2.0 / 2)
    assert pilot.sync().claim == 4


def test_where_writing_costs_nothing_everybody_comes_at_once() -> None:
    pilot = Pilot(traits=StoreTraits(poll_interval=0.01), heartbeat_interval=20.0)
    pilot.take_turn()
    pilot.machine.work_arrived()
    request = pilot.sync()
    pilot.wait(2.0)
    pilot.answer(request, "a")
    pilot.machine.on_change_counter(1, pilot.now)
    pilot.machine.on_change_counter(2, pilot.now)
    assert pilot.sync().claim == 5
