"""The leader's recovery cycle on a real store is complete, repeatable, and may be interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import patch

import pytest

from fleet_q.adapters.recovery_queue import SqliteRecoveryQueue
from fleet_q.core import recovery
from fleet_q.core.calls import Calls
from fleet_q.core.errors import StoreUnavailable
from fleet_q.core.leadership import silent_pods
from fleet_q.core.ports import Store
from fleet_q.core.recovery import RecoveryStats, recovery_cycle

from .clock import SECOND, FakeClock
from .helpers import call_by_call, claim, facts, join, known, silent, submit

DEAD_AFTER = 60 * SECOND
NAMES = [f"step {number}" for number in range(5)]
LAST_TRY = "step 0"
CALLS_OF_A_CYCLE = 10
"""Three before the table, three pages of two orphans each and the end of them, three batches."""


@pytest.fixture(autouse=True)
def small_batches() -> Iterator[None]:
    with patch.object(recovery, "BATCH", 2):
        yield


@pytest.fixture
def orphans(store: Store, clock: FakeClock) -> None:
    """Five steps of a silent pod; ``leader`` and ``other`` live."""
    submit(store, LAST_TRY, max_retries=0)
    submit(store, *NAMES[1:], max_retries=1)
    join(store, "dies")
    claim(store, 5, pod_id="dies")
    clock.advance(59)
    join(store, "leader")
    clock.advance(1)
    join(store, "other")


def cycle(store: Store, by: str = "leader", *, only_as_leader: bool = True) -> Iterator[None]:
    return call_by_call(store, program(RecoveryStats(), by, only_as_leader=only_as_leader))


def program(stats: RecoveryStats, by: str, *, only_as_leader: bool) -> Calls[bool]:
    return recovery_cycle(
        SqliteRecoveryQueue(),
        silent=lambda fleet: silent_pods(fleet.pods, fleet.at, DEAD_AFTER),
        starts=None,
        dead_after=DEAD_AFTER,
        by=by,
        only_as_leader=only_as_leader,
        stats=stats,
    )


def run(cycle: Iterator[None], most: int = 2 * CALLS_OF_A_CYCLE) -> int:
    """Continue the cycle for at most ``most`` calls; returns how many there were."""
    done = 0
    while done < most and next(cycle, "over") is None:
        done += 1
    return done


def assert_each_was_recovered_once(store: Store) -> None:
    assert facts(store, LAST_TRY) == ["submitted", "claimed", "failed"]
    for name in NAMES[1:]:
        assert facts(store, name) == ["submitted", "claimed", "recovered"]
        assert known(store, name).retry_count == 1


@pytest.mark.usefixtures("orphans")
def test_cycle_recovers_and_counts_all_orphans(store: Store) -> None:
    stats = RecoveryStats()

    assert (
        run(call_by_call(store, program(stats, "leader", only_as_leader=True))) == CALLS_OF_A_CYCLE
    )

    assert stats == RecoveryStats(1, total_orphans=5, resubmitted=4, terminal_failures=1)
    assert_each_was_recovered_once(store)


@pytest.mark.usefixtures("orphans")
@pytest.mark.parametrize(("size", "transactions"), [(1, 5), (3, 5), (4, 3)])
def test_steps_recovered_in_one_transaction_are_limited_by_size(
    store: Store, size: int, transactions: int
) -> None:
    with patch.object(recovery, "BATCH_SIZE", size):
        calls = run(cycle(store))
    assert calls == 3 + 4 + transactions
    assert_each_was_recovered_once(store)


@pytest.mark.usefixtures("orphans")
def test_steps_are_recovered_although_heartbeats_cannot_be_folded(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fold_heartbeats() -> None:
        raise StoreUnavailable("the store does not answer")

    monkeypatch.setattr(store, "fold_heartbeats", fold_heartbeats)
    with pytest.raises(StoreUnavailable):
        run(cycle(store))
    assert_each_was_recovered_once(store)


@pytest.mark.usefixtures("orphans")
def test_pod_that_is_not_the_leader_recovers_nothing(store: Store) -> None:
    assert run(cycle(store, "other")) == 1
    assert len(store.declare_dead(silent(store, 60))) == 1


@pytest.mark.usefixtures("orphans")
@pytest.mark.parametrize("again_by", ["leader", "other"])
@pytest.mark.parametrize("cut", range(CALLS_OF_A_CYCLE + 1))
def test_cycle_completes_what_an_interrupted_one_left(
    store: Store, cut: int, again_by: str
) -> None:
    first = cycle(store)
    assert run(first, cut) == cut
    del first

    run(cycle(store, again_by, only_as_leader=False))

    assert_each_was_recovered_once(store)


@pytest.mark.usefixtures("orphans")
@pytest.mark.parametrize("cut", range(CALLS_OF_A_CYCLE + 1))
def test_cycles_of_two_leaders_can_overlap_at_any_call(store: Store, cut: int) -> None:
    """One pauses, another completes its cycle, a pod claims again, and the first continues."""
    first = cycle(store)
    run(first, cut)
    run(cycle(store, "other", only_as_leader=False))
    fresh = claim(store, 2, "fresh", "other")

    run(first)

    assert fresh == NAMES[1:3]
    assert all(known(store, name).claim_token == "fresh" for name in fresh)
    assert all(facts(store, name).count("recovered") == 1 for name in NAMES[1:])


@pytest.mark.usefixtures("orphans")
def test_second_cycle_recovers_nothing(store: Store) -> None:
    run(cycle(store))
    stats = RecoveryStats()

    run(call_by_call(store, program(stats, "leader", only_as_leader=True)))

    assert stats == RecoveryStats()
