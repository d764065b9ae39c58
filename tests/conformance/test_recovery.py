"""Recovery: which steps are orphans, and that each is recovered once."""

from __future__ import annotations

from fleet_q.core.pod import Drain, Leave
from fleet_q.core.ports import Orphan, Store, SyncRequest
from fleet_q.core.step import Recover

from .clock import FakeClock
from .helpers import (
    at_once,
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
    under_its_claim,
)


def test_a_living_pods_steps_are_no_orphans(store: Store, clock: FakeClock) -> None:
    """However long it has been silent: first it has to be declared dead."""
    held_step(store)
    store.sync(SyncRequest("pod", "one", Drain("pod", "one")))
    clock.advance(3600)

    assert store.orphans("", 9) == []


def test_a_dead_pods_steps_are_orphans(store: Store, clock: FakeClock) -> None:
    held_step(store)
    submit(store, "free")
    clock.advance(60)
    store.declare_dead(silent(store, 60))

    step = known(store, "step")
    assert step.claim_token is not None
    orphan = Orphan("step", step.claim_token, "pod", "one", 0, step.max_retries, len(step.payload))
    assert store.orphans("", 9) == [orphan]


def test_step_held_by_a_pod_that_left_is_an_orphan(store: Store) -> None:
    held_step(store)
    store.sync(SyncRequest("pod", "one", Leave("pod", "one")))

    assert ids(store.orphans("", 9)) == ["step"]


def test_restart_under_the_same_id_orphans_the_steps_held_before(store: Store) -> None:
    orphaned_step(store, "old")
    submit(store, "new")
    claim(store, incarnation="two")

    assert ids(store.orphans("", 9)) == ["old"]
    assert ids(recover_all(store)) == ["old"]
    assert known(store, "new").status == "claimed"


def test_orphans_come_in_pages_by_id(store: Store) -> None:
    join(store)
    submit(store, "b", "d", "a", "c")
    claim(store, 4)
    join(store, incarnation="two")

    assert ids(store.orphans("", 3)) == ["a", "b", "c"]
    assert ids(store.orphans("c", 3)) == ["d"]
    assert store.orphans("d", 3) == []


def test_a_recovered_step_is_pending_with_one_try_less(store: Store) -> None:
    orphaned_step(store, max_retries=1)

    (step,) = recover_all(store, "leader")

    assert (step.status, step.retry_count, step.claim_token) == ("pending", 1, None)
    assert step.error == "pod pod died while it held the step"
    assert known(store, "step") == step
    assert store.history("step")[-1].pod_id == "leader"


def test_an_orphan_without_tries_left_fails(store: Store) -> None:
    orphaned_step(store, max_retries=0)

    (step,) = recover_all(store)

    assert (step.status, step.retry_count) == ("failed", 0)
    assert store.dead_letters(9).steps == (step,)


def test_orphan_on_its_last_try_that_never_began_is_released(store: Store) -> None:
    orphaned_step(store, max_retries=0)
    claims = [Recover(o.step_id, o.claim_token, True) for o in store.orphans("", 9)]

    (step,) = store.recover(claims, "leader")

    assert (step.status, step.retry_count, step.claim_token) == ("pending", 0, None)
    assert known(store, "step") == step
    assert facts(store, "step") == ["submitted", "claimed", "released"]
    assert store.rebuild(check=True).equal


def test_orphan_with_tries_left_uses_one_up_even_if_it_never_began(store: Store) -> None:
    orphaned_step(store, max_retries=1)
    claims = [Recover(o.step_id, o.claim_token, True) for o in store.orphans("", 9)]

    (step,) = store.recover(claims, "leader")

    assert (step.status, step.retry_count) == ("pending", 1)


def test_an_orphan_is_recovered_once(store: Store) -> None:
    orphaned_step(store)
    claims = [under_its_claim(orphan) for orphan in store.orphans("", 9)]

    assert ids(store.recover(claims * 2, "one leader")) == ["step"]
    assert store.recover(claims, "another leader") == []

    assert facts(store, "step") == ["submitted", "claimed", "recovered"]


def test_orphan_with_an_outdated_claim_token_is_not_recovered(store: Store) -> None:
    orphaned_step(store, token="older")
    claims = [under_its_claim(orphan) for orphan in store.orphans("", 9)]
    recover_all(store)
    claim(store, token="newer", incarnation="two")
    join(store, incarnation="three")

    assert store.recover(claims) == []

    assert known(store, "step").claim_token == "newer"


def test_step_that_is_not_an_orphan_is_not_recovered(store: Store) -> None:
    held_step(store)
    submit(store, "pending")
    before = snapshot_of(store)

    claims = [Recover("step", "token"), Recover("pending", "token"), Recover("unknown", "token")]

    assert store.recover(claims) == []
    assert snapshot_of(store) == before


def test_leaders_that_recover_at_once_recover_each_step_once(clients: list[Store]) -> None:
    store = clients[0]
    names = [f"step {number:02}" for number in range(40)]
    join(store)
    submit(store, *names)
    claim(store, 40)
    join(store, incarnation="two")

    recovered = at_once(recover_all, clients)

    assert sorted(step_id for steps in recovered for step_id in ids(steps)) == names
    assert {known(store, name).retry_count for name in names} == {1}
