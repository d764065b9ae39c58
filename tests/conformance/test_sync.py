"""A sync is one transaction, and a repeated sync does nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from fleet_q.core.errors import IncarnationEnded
from fleet_q.core.pod import Drain, Join, SendHeartbeat, Sleep
from fleet_q.core.ports import Store, SyncRequest
from fleet_q.core.step import Complete, Fail, Submit

from .clock import SECOND, FakeClock
from .helpers import (
    acknowledge,
    claim,
    facts,
    held_step,
    ids,
    join,
    known,
    orphaned_step,
    recover_all,
    silent,
    snapshot_of,
    submit,
)
from .stores import StoreKind


def test_sync_applies_pod_command_outcomes_and_claim_together(
    store: Store, clock: FakeClock
) -> None:
    held_step(store)
    submit(store, "next")
    clock.advance(1)

    result = store.sync(
        SyncRequest(
            "pod",
            "one",
            SendHeartbeat("pod", "one"),
            (Complete("step", "token", "null"),),
            claim=1,
            claim_token="second",
            check_held=(("step", "token"), ("next", "second")),
        )
    )

    assert ids(result.claimed) == ["next"]
    assert (result.refused, result.lost) == ((), ("step",))
    assert store.pods().pods[0].last_heartbeat_ts == clock()


def test_step_released_by_a_sync_is_claimable_by_the_next(store: Store) -> None:
    held_step(store)

    result = store.sync(
        SyncRequest(
            "pod", "one", None, (Fail("step", "token", "Boom"),), claim=1, claim_token="second"
        )
    )

    assert ids(result.claimed) == []
    assert claim(store, token="third") == ["step"]


def test_pod_can_join_and_claim_in_one_sync(store: Store) -> None:
    submit(store, "step")

    result = store.sync(SyncRequest("pod", "one", Join("pod", "one"), claim=1, claim_token="token"))

    assert ids(result.claimed) == ["step"]


def test_sync_only_if_claimable_changes_nothing_without_a_claimable_step(store: Store) -> None:
    join(store)
    store.sync(SyncRequest("pod", "one", Sleep("pod", "one")))
    submit(store, "step", delay=SECOND)
    before = snapshot_of(store)

    result = store.sync(wake("token"))

    assert (result.done, result.claimed) == (False, ())
    assert result.next_due is not None
    assert snapshot_of(store) == before


def test_sync_only_if_claimable_claims_a_claimable_step(store: Store) -> None:
    join(store)
    store.sync(SyncRequest("pod", "one", Sleep("pod", "one")))
    submit(store, "step")

    result = store.sync(wake("token"))

    assert (result.done, ids(result.claimed)) == (True, ["step"])
    assert store.pods().pods[0].status == "up"


def test_repeated_sync_only_if_claimable_returns_the_first_claim(store: Store) -> None:
    join(store)
    store.sync(SyncRequest("pod", "one", Sleep("pod", "one")))
    submit(store, "step")
    store.sync(wake("token"))

    result = store.sync(replace(wake("token"), is_retry=True))

    assert (result.done, ids(result.claimed)) == (True, ["step"])
    assert store.pods().pods[0].status == "up"


def test_ended_incarnation_is_rejected_even_if_nothing_is_claimable(store: Store) -> None:
    join(store)
    store.sync(SyncRequest("pod", "one", Sleep("pod", "one")))
    join(store, "pod", "another")

    with pytest.raises(IncarnationEnded):
        store.sync(wake("token"))


def wake(token: str) -> SyncRequest:
    """The request of a sleeping pod when the change counter has changed."""
    return SyncRequest(
        "pod",
        "one",
        SendHeartbeat("pod", "one"),
        claim=1,
        claim_token=token,
        only_if_claimable=True,
    )


@pytest.mark.parametrize(
    "pod_command", [SendHeartbeat("pod", "one"), Drain("pod", "one"), None], ids=repr
)
def test_sync_with_rejected_pod_command_changes_nothing(
    store: Store, pod_command: SendHeartbeat | Drain | None
) -> None:
    held_step(store)
    submit(store, "next")
    join(store, incarnation="two")
    before = snapshot_of(store)

    with pytest.raises(IncarnationEnded):
        store.sync(
            SyncRequest(
                "pod", "one", pod_command, (Complete("step", "token", "null"),), 1, "second"
            )
        )

    assert snapshot_of(store) == before


def test_sync_that_fails_in_the_middle_changes_nothing(
    kind: StoreKind, store: Store, tmp_path: Path, clock: FakeClock
) -> None:
    if kind.failing is None:
        pytest.skip("this store has no way to make it fail")
    held_step(store)
    clock.advance(1)
    before = snapshot_of(store)

    with kind.failing(tmp_path):
        with pytest.raises(Exception, match=r"the disk is full|no room"):
            store.sync(
                SyncRequest(
                    "pod", "one", SendHeartbeat("pod", "one"), (Fail("step", "token", "Boom"),)
                )
            )
        with pytest.raises(Exception, match=r"the disk is full|no room"):
            store.submit([Submit("new", "{}")])

    assert snapshot_of(store) == before
    assert (store.step("new"), store.history("new")) == (None, [])
    submit(store, "new")
    assert facts(store, "new") == ["submitted"]


def test_sync_reports_lost_claims(store: Store) -> None:
    join(store)
    submit(store, "kept", "cancelled", "retaken")
    claim(store, 3, "token")
    store.cancel("cancelled")
    acknowledge(store, Fail("retaken", "token", "Boom"))
    claim(store, token="second")

    held = ("kept", "cancelled", "retaken", "unknown")
    result = store.sync(
        SyncRequest("pod", "one", check_held=tuple((step_id, "token") for step_id in held))
    )

    assert result.lost == ("cancelled", "retaken", "unknown")


FULL_SYNC = SyncRequest(
    "pod",
    "one",
    Join("pod", "one"),
    (Complete("done", "token", "null"), Fail("bad", "token", "Boom", retry_delay=SECOND)),
    claim=2,
    claim_token="second",
)


def prepare_full_sync(store: Store) -> None:
    join(store)
    submit(store, "bad", "done")
    claim(store, 2, "token")
    submit(store, "a", "b", "c", "d")


def test_repeated_sync_is_not_applied_again(store: Store, clock: FakeClock) -> None:
    prepare_full_sync(store)
    first = store.sync(FULL_SYNC)
    before = snapshot_of(store)
    clock.advance(5)

    second = store.sync(replace(FULL_SYNC, is_retry=True))

    assert snapshot_of(store) == before
    assert second.claimed == first.claimed
    assert ids(second.claimed) == ["a", "b"]


def test_repeated_sync_is_applied_if_the_first_was_not(store: Store) -> None:
    prepare_full_sync(store)

    result = store.sync(replace(FULL_SYNC, is_retry=True))

    assert ids(result.claimed) == ["a", "b"]
    assert result.refused == ()
    assert known(store, "done").status == "completed"


def test_repeated_sync_does_not_return_a_claim_of_an_earlier_sync(store: Store) -> None:
    held_step(store, "earlier", token="first")
    submit(store, "step")

    result = store.sync(SyncRequest("pod", "one", claim=1, claim_token="second", is_retry=True))

    assert ids(result.claimed) == ["step"]


def test_repeated_sync_does_not_return_a_claim_of_an_earlier_incarnation(store: Store) -> None:
    orphaned_step(store)

    result = store.sync(SyncRequest("pod", "two", claim=1, claim_token="token", is_retry=True))

    assert result.claimed == ()


def test_repeated_sync_does_not_return_steps_that_were_recovered(
    store: Store, clock: FakeClock
) -> None:
    held_step(store)
    clock.advance(60)
    store.declare_dead(silent(store, 60))
    recover_all(store)
    join(store, "other")
    claim(store, token="other's", pod_id="other")
    join(store, incarnation="two")

    result = store.sync(SyncRequest("pod", "two", claim=1, claim_token="token", is_retry=True))

    assert result.claimed == ()
    assert known(store, "step").claimed_by == "other"
