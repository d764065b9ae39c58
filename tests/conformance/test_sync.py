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
    picture,
    recover_all,
    silent,
    submit,
)
from .stores import StoreKind


def test_presence_outcomes_and_a_claim_go_in_together(store: Store, clock: FakeClock) -> None:
    held_step(store)
    submit(store, "next")
    clock.advance(1)

    answer = store.sync(
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

    assert ids(answer.claimed) == ["next"]
    assert (answer.refused, answer.lost) == ((), ("step",))
    assert store.pods().pods[0].last_heartbeat_ts == clock()


def test_what_a_turn_gives_back_is_there_for_the_next_claim(store: Store) -> None:
    held_step(store)

    answer = store.sync(
        SyncRequest(
            "pod", "one", None, (Fail("step", "token", "Boom"),), claim=1, claim_token="second"
        )
    )

    assert ids(answer.claimed) == []
    assert claim(store, token="third") == ["step"]


def test_a_pod_can_join_and_claim_at_once(store: Store) -> None:
    submit(store, "step")

    answer = store.sync(SyncRequest("pod", "one", Join("pod", "one"), claim=1, claim_token="token"))

    assert ids(answer.claimed) == ["step"]


def test_a_turn_that_is_for_what_is_due_is_not_done_for_nothing(store: Store) -> None:
    join(store)
    store.sync(SyncRequest("pod", "one", Sleep("pod", "one")))
    submit(store, "step", delay=SECOND)
    before = picture(store)

    answer = store.sync(wake("token"))

    assert (answer.done, answer.claimed) == (False, ())
    assert answer.next_due is not None
    assert picture(store) == before


def test_a_turn_that_is_for_what_is_due_is_done_if_there_is_a_step(store: Store) -> None:
    join(store)
    store.sync(SyncRequest("pod", "one", Sleep("pod", "one")))
    submit(store, "step")

    answer = store.sync(wake("token"))

    assert (answer.done, ids(answer.claimed)) == (True, ["step"])
    assert store.pods().pods[0].status == "up"


def test_a_turn_that_is_for_what_is_due_is_made_up_for_like_any_other(store: Store) -> None:
    join(store)
    store.sync(SyncRequest("pod", "one", Sleep("pod", "one")))
    submit(store, "step")
    store.sync(wake("token"))

    answer = store.sync(replace(wake("token"), is_retry=True))

    assert (answer.done, ids(answer.claimed)) == (True, ["step"])
    assert store.pods().pods[0].status == "up"


def test_who_is_no_more_finds_out_even_if_nothing_is_due(store: Store) -> None:
    join(store)
    store.sync(SyncRequest("pod", "one", Sleep("pod", "one")))
    join(store, "pod", "another")

    with pytest.raises(IncarnationEnded):
        store.sync(wake("token"))


def wake(token: str) -> SyncRequest:
    """What a sleeping pod asks for when it is called."""
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
def test_a_turn_whose_presence_is_refused_changes_nothing(
    store: Store, pod_command: SendHeartbeat | Drain | None
) -> None:
    held_step(store)
    submit(store, "next")
    join(store, incarnation="two")
    before = picture(store)

    with pytest.raises(IncarnationEnded):
        store.sync(
            SyncRequest(
                "pod", "one", pod_command, (Complete("step", "token", "null"),), 1, "second"
            )
        )

    assert picture(store) == before


def test_a_turn_that_fails_half_way_changes_nothing(
    kind: StoreKind, store: Store, tmp_path: Path, clock: FakeClock
) -> None:
    if kind.failing is None:
        pytest.skip("this store has no way to make it fail")
    held_step(store)
    clock.advance(1)
    before = picture(store)

    with kind.failing(tmp_path):
        with pytest.raises(Exception, match=r"the disk is full|no room"):
            store.sync(
                SyncRequest(
                    "pod", "one", SendHeartbeat("pod", "one"), (Fail("step", "token", "Boom"),)
                )
            )
        with pytest.raises(Exception, match=r"the disk is full|no room"):
            store.submit([Submit("new", "{}")])

    assert picture(store) == before
    assert (store.step("new"), store.history("new")) == (None, [])
    submit(store, "new")
    assert facts(store, "new") == ["submitted"]


def test_claims_that_no_longer_stand_are_told(store: Store) -> None:
    join(store)
    submit(store, "kept", "cancelled", "retaken")
    claim(store, 3, "token")
    store.cancel("cancelled")
    acknowledge(store, Fail("retaken", "token", "Boom"))
    claim(store, token="second")

    held = ("kept", "cancelled", "retaken", "unknown")
    answer = store.sync(
        SyncRequest("pod", "one", check_held=tuple((each, "token") for each in held))
    )

    assert answer.lost == ("cancelled", "retaken", "unknown")


FULL_TURN = SyncRequest(
    "pod",
    "one",
    Join("pod", "one"),
    (Complete("done", "token", "null"), Fail("bad", "token", "Boom", retry_delay=SECOND)),
    claim=2,
    claim_token="second",
)


def before_the_full_turn(store: Store) -> None:
    join(store)
    submit(store, "bad", "done")
    claim(store, 2, "token")
    submit(store, "a", "b", "c", "d")


def test_a_turn_sent_again_is_not_done_again(store: Store, clock: FakeClock) -> None:
    before_the_full_turn(store)
    first = store.sync(FULL_TURN)
    before = picture(store)
    clock.advance(5)

    second = store.sync(replace(FULL_TURN, is_retry=True))

    assert picture(store) == before
    assert second.claimed == first.claimed
    assert ids(second.claimed) == ["a", "b"]


def test_a_turn_that_was_never_done_is_done_when_sent_again(store: Store) -> None:
    before_the_full_turn(store)

    answer = store.sync(replace(FULL_TURN, is_retry=True))

    assert ids(answer.claimed) == ["a", "b"]
    assert answer.refused == ()
    assert known(store, "done").status == "completed"


def test_a_lost_claim_of_an_earlier_turn_is_not_mistaken_for_this_one(store: Store) -> None:
    held_step(store, "earlier", token="first")
    submit(store, "step")

    answer = store.sync(SyncRequest("pod", "one", claim=1, claim_token="second", is_retry=True))

    assert ids(answer.claimed) == ["step"]


def test_a_lost_claim_of_an_earlier_incarnation_is_not_given_to_this_one(store: Store) -> None:
    orphaned_step(store)

    answer = store.sync(SyncRequest("pod", "two", claim=1, claim_token="token", is_retry=True))

    assert answer.claimed == ()


def test_what_was_recovered_meanwhile_is_not_given_back_to_the_lost_claim(
    store: Store, clock: FakeClock
) -> None:
    held_step(store)
    clock.advance(60)
    store.declare_dead(silent(store, 60))
    recover_all(store)
    join(store, "other")
    claim(store, token="other's", pod_id="other")
    join(store, incarnation="two")

    answer = store.sync(SyncRequest("pod", "two", claim=1, claim_token="token", is_retry=True))

    assert answer.claimed == ()
    assert known(store, "step").claimed_by == "other"
