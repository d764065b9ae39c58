"""Steps that must begin by some time: late ones are cancelled, and never claimed."""

from __future__ import annotations

import pytest

from fleet_q.core.ports import Store
from fleet_q.core.queues import QueueChange
from fleet_q.core.step import EXPIRED, Complete, Fail, Release, Snooze, Submit

from .clock import SECOND, FakeClock
from .helpers import acknowledge, claim, facts, join, known, submit


def test_step_is_claimed_until_its_time_and_not_after_it(store: Store, clock: FakeClock) -> None:
    join(store)
    submit(store, "in time", "late", start_by=5 * SECOND)
    clock.advance(5)
    assert claim(store) == ["in time"]
    clock.advance(0.000_001)
    assert claim(store, 5) == []
    acknowledge(store, Complete("in time", known(store, "in time").claim_token or "", "1"))
    assert facts(store, "in time") == ["submitted", "claimed", "completed"]


def test_late_steps_are_cancelled_with_the_reason(store: Store, clock: FakeClock) -> None:
    join(store)
    submit(store, "late", start_by=SECOND)
    submit(store, "later", start_by=9 * SECOND)
    submit(store, "any time")
    assert store.expire(10) == 0
    clock.advance(2)
    assert store.expire(10, "pod") == 1
    assert (known(store, "late").status, known(store, "late").error) == ("cancelled", EXPIRED)
    event = store.history("late")[-1]
    assert (event.fact.type, event.pod_id, event.fact.error) == ("cancelled", "pod", EXPIRED)  # type: ignore[union-attr]
    assert store.expire(10) == 0
    assert claim(store, 5) == ["any time", "later"]


def test_late_steps_are_cancelled_the_most_overdue_first(store: Store, clock: FakeClock) -> None:
    submit(store, "second", start_by=2 * SECOND)
    submit(store, "first", start_by=SECOND)
    submit(store, "third", start_by=3 * SECOND)
    clock.advance(9)
    assert store.expire(2) == 2
    assert [known(store, s).status for s in ("first", "second", "third")] == [
        "cancelled",
        "cancelled",
        "pending",
    ]
    assert store.expire(2) == 1


def test_claim_takes_the_steps_behind_late_ones(store: Store, clock: FakeClock) -> None:
    join(store)
    submit(store, "late", start_by=SECOND, priority=9)
    submit(store, "other late", start_by=SECOND, priority=9, queue="gpu")
    submit(store, "any time", queue="gpu")
    clock.advance(2)
    assert claim(store, 5) == ["any time"]
    store.expire(10)
    assert known(store, "late").status == known(store, "other late").status == "cancelled"


def test_late_step_takes_no_room_in_its_queue(store: Store, clock: FakeClock) -> None:
    join(store)
    store.set_queue("default", QueueChange(max_running=1))
    submit(store, "late", start_by=SECOND, priority=9)
    submit(store, "any time")
    clock.advance(2)
    assert claim(store, 5) == ["any time"]


@pytest.mark.parametrize("how", ["retried", "snoozed"])
def test_step_that_has_begun_does_not_expire(store: Store, clock: FakeClock, how: str) -> None:
    join(store)
    submit(store, "step", start_by=SECOND)
    claim(store, token="token")
    ending = Fail("step", "token", "Boom") if how == "retried" else Snooze("step", "token")
    acknowledge(store, ending)
    clock.advance(5)
    assert store.expire(10) == 0
    assert claim(store) == ["step"]


def test_step_that_was_released_counts_as_not_begun(store: Store, clock: FakeClock) -> None:
    join(store)
    submit(store, "step", start_by=SECOND)
    claim(store, token="token")
    clock.advance(5)
    assert store.expire(10) == 0
    acknowledge(store, Release("step", "token"))
    assert claim(store) == []
    store.expire(10)
    assert known(store, "step").status == "cancelled"


def test_step_that_expires_while_its_delay_runs_is_cancelled(
    store: Store, clock: FakeClock
) -> None:
    submit(store, "step", delay=9 * SECOND, start_by=SECOND)
    clock.advance(2)
    assert store.expire(10) == 1


def test_replayed_step_has_no_time_to_begin_by(store: Store, clock: FakeClock) -> None:
    join(store)
    submit(store, "step", start_by=SECOND)
    clock.advance(2)
    store.expire(10)
    assert store.replay(["step"])[0].start_by_ts is None
    assert claim(store) == ["step"]


def test_replaced_step_must_begin_by_the_new_time(store: Store, clock: FakeClock) -> None:
    join(store)
    key = {"unique_key": "one", "on_conflict": "replace"}
    submit(store, "step", start_by=SECOND, **key)
    submit(store, "later", start_by=9 * SECOND, **key)
    clock.advance(5)
    assert store.expire(10) == 0
    assert known(store, "step").start_by_ts == clock() + 4 * SECOND
    submit(store, "last", **key)
    assert known(store, "step").start_by_ts is None


def test_steps_that_wait_for_an_expired_step_are_settled(store: Store, clock: FakeClock) -> None:
    join(store)
    store.submit(
        [
            Submit("late", "{}", start_by=SECOND),
            Submit("needs it", "{}", parents='{"late":"success"}'),
            Submit("needs that", "{}", parents='{"needs it":"success"}'),
            Submit("after it", "{}", parents='{"late":"finished"}'),
            Submit("waits too long", "{}", parents='{"after it":"success"}', start_by=SECOND),
        ]
    )
    clock.advance(2)
    store.expire(10)
    assert claim(store, 9) == ["after it"]
    assert known(store, "needs it").error == "parent late was cancelled"
    assert known(store, "needs that").error == "parent needs it was cancelled"
    assert known(store, "waits too long").error == EXPIRED


def test_step_that_expired_while_it_waited_stays_when_its_parent_is_replayed(
    store: Store, clock: FakeClock
) -> None:
    submit(store, "parent")
    store.submit([Submit("step", "{}", parents='{"parent":"success"}', start_by=SECOND)])
    clock.advance(2)
    assert store.expire(10) == 1
    store.cancel("parent")
    store.replay(["parent"])
    assert known(store, "step").status == "cancelled"
    store.replay(["step"])
    assert known(store, "step").status == "waiting"


def test_claim_of_a_few_leaves_many_late_steps_to_the_next(store: Store, clock: FakeClock) -> None:
    """One transaction cancels a thousand at most, and claims none of them."""
    join(store)
    store.submit([Submit(f"late-{n}", "{}", unique=True, start_by=SECOND) for n in range(1_100)])
    store.submit([Submit("any time", "{}", unique=True)])
    clock.advance(2)
    claimed = [*claim(store), *claim(store)]
    assert claimed == ["any time"]
    while store.expire(1_000):
        pass
    assert store.counts()["cancelled"] == 1_100


def test_cancel_of_a_step_that_expired_and_was_replayed_has_no_reason(
    store: Store, clock: FakeClock
) -> None:
    submit(store, "step", start_by=SECOND)
    clock.advance(2)
    assert store.expire(10) == 1
    store.replay(["step"])
    store.cancel("step")
    reasons = [getattr(event.fact, "error", None) for event in store.history("step")]
    assert reasons == [None, EXPIRED, None, None]
