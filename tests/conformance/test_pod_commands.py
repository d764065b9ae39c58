"""Pod commands: join, heartbeat, drain, sleep and leave; an ended incarnation stays ended."""

from __future__ import annotations

import pytest

from fleet_q.core.errors import IllegalTransition, IncarnationEnded
from fleet_q.core.pod import Drain, Join, Leave, Pod, PodCommand, SendHeartbeat, Sleep
from fleet_q.core.ports import PodList, Store, SyncRequest

from .clock import SECOND, FakeClock
from .helpers import claim, join, orphaned_step, snapshot_of, submit


def send(store: Store, pod_command: PodCommand) -> None:
    store.sync(SyncRequest(pod_command.pod_id, pod_command.incarnation, pod_command))


def only_pod(store: Store) -> Pod:
    (pod,) = store.pods().pods
    return pod


def test_a_pod_that_joins_is_up(store: Store, clock: FakeClock) -> None:
    join(store)

    assert store.pods() == PodList(clock(), (Pod("pod", "up", clock(), clock(), "one"),))


def test_pods_are_listed_by_id(store: Store) -> None:
    for pod_id in ("b", "a", "B"):
        join(store, pod_id)

    assert [pod.pod_id for pod in store.pods().pods] == ["B", "a", "b"]


def test_heartbeat_updates_the_pod(store: Store, clock: FakeClock) -> None:
    join(store)
    born = clock()
    clock.advance(5)

    send(store, SendHeartbeat("pod", "one"))

    assert only_pod(store) == Pod("pod", "up", born, clock(), "one", 1)
    assert [event.fact.type for event in store.pod_history("pod")] == ["joined"]


def test_draining_pod_sends_heartbeats(store: Store, clock: FakeClock) -> None:
    join(store)
    send(store, Drain("pod", "one"))
    clock.advance(5)

    send(store, SendHeartbeat("pod", "one"))

    assert only_pod(store).status == "draining"
    assert only_pod(store).last_heartbeat_ts == clock()


def test_draining_updates_the_heartbeat(store: Store, clock: FakeClock) -> None:
    join(store)
    born = clock()
    clock.advance(5)

    send(store, Drain("pod", "one"))

    assert only_pod(store) == Pod("pod", "draining", born, clock(), "one", 2)


def test_a_pod_that_leaves_is_down(store: Store) -> None:
    join(store)
    send(store, Leave("pod", "one"))

    assert only_pod(store).status == "down"


@pytest.mark.parametrize("command_type", [Join, Drain, Leave])
def test_repeated_pod_command_changes_nothing(store: Store, command_type: type[PodCommand]) -> None:
    join(store)
    send(store, command_type("pod", "one"))
    before = snapshot_of(store)

    send(store, command_type("pod", "one"))

    assert snapshot_of(store) == before


def test_joining_again_starts_a_new_incarnation(store: Store, clock: FakeClock) -> None:
    join(store)
    clock.advance(5)

    join(store, incarnation="two")

    assert only_pod(store) == Pod("pod", "up", clock(), clock(), "two", 2)


def test_pods_that_were_observed_to_be_silent_are_declared_dead(
    store: Store, clock: FakeClock
) -> None:
    for pod_id in ("silent", "left", "loud"):
        join(store, pod_id)
    send(store, Leave("left", "one"))
    observed = store.pods().pods
    clock.advance(10)
    send(store, SendHeartbeat("loud", "one"))

    declared = store.declare_dead(observed, "loud")

    assert declared == [Pod("silent", "down", *(clock() - 10 * SECOND,) * 2, "one", 2)]
    assert store.declare_dead(observed, "loud") == []
    statuses = {pod.pod_id: pod.status for pod in store.pods().pods}
    assert statuses == {"silent": "down", "left": "down", "loud": "up"}
    assert store.declared_dead() == {"silent"}
    join(store, "silent", incarnation="two")
    assert store.declared_dead() == set()


def test_declaring_no_pods_dead_changes_nothing(store: Store) -> None:
    join(store)
    before = snapshot_of(store)

    assert store.declare_dead([]) == []
    assert snapshot_of(store) == before


def test_draining_pod_can_be_declared_dead(store: Store) -> None:
    join(store)
    send(store, Drain("pod", "one"))

    assert len(store.declare_dead(store.pods().pods)) == 1


@pytest.mark.parametrize("command_type", [SendHeartbeat, Drain, Sleep, Leave])
def test_pod_that_sent_a_command_after_the_observation_is_not_declared_dead(
    store: Store, clock: FakeClock, command_type: type[PodCommand]
) -> None:
    join(store)
    observed = store.pods().pods
    clock.advance(1)
    send(store, command_type("pod", "one"))
    before = snapshot_of(store)

    assert store.declare_dead(observed) == []
    assert snapshot_of(store) == before


def test_an_incarnation_that_joined_after_the_observation_is_not_declared_dead(
    store: Store,
) -> None:
    join(store)
    observed = store.pods().pods
    join(store, incarnation="two")

    assert store.declare_dead(observed) == []
    assert only_pod(store).status == "up"


@pytest.mark.parametrize("seconds", [-3_600, 3_600])
def test_pods_can_be_declared_dead_after_the_clock_was_set(
    store: Store, clock: FakeClock, seconds: float
) -> None:
    join(store)
    clock.step(seconds)

    assert len(store.declare_dead(store.pods().pods)) == 1


def test_every_heartbeat_changes_the_pod_after_the_clock_was_set_back(
    store: Store, clock: FakeClock
) -> None:
    """The leader sees by the change that the pod lives."""
    join(store)
    clock.step(-3_600)
    seen = [only_pod(store)]
    for is_folded in (False, False, True, False):
        clock.advance(10)
        send(store, SendHeartbeat("pod", "one"))
        if is_folded:
            store.fold_heartbeats()
        seen.append(only_pod(store))
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("command_type", [SendHeartbeat, Drain])
def test_unknown_pod_must_join_first(store: Store, command_type: type[PodCommand]) -> None:
    with pytest.raises(IncarnationEnded):
        send(store, command_type("pod", "one"))


@pytest.mark.parametrize("command_type", [SendHeartbeat, Drain])
def test_dead_incarnation_is_rejected(store: Store, command_type: type[PodCommand]) -> None:
    join(store)
    store.declare_dead(store.pods().pods)
    before = snapshot_of(store)

    with pytest.raises(IncarnationEnded) as refusal:
        send(store, command_type("pod", "one"))

    assert not refusal.value.superseded
    assert snapshot_of(store) == before


def test_a_dead_incarnation_cannot_join_again(store: Store) -> None:
    """Otherwise a repeated join would make it the holder of steps that are orphans already."""
    join(store)
    submit(store, "step")
    claim(store)
    store.declare_dead(store.pods().pods)

    with pytest.raises(IncarnationEnded):
        join(store)

    assert only_pod(store).status == "down"
    assert len(store.orphans("", 9)) == 1


@pytest.mark.parametrize("command_type", [SendHeartbeat, Drain, Leave])
def test_replaced_incarnation_cannot_change_the_new_one(
    store: Store, command_type: type[PodCommand]
) -> None:
    orphaned_step(store)
    before = snapshot_of(store)

    with pytest.raises(IncarnationEnded) as refusal:
        send(store, command_type("pod", "one"))

    assert refusal.value.superseded
    assert snapshot_of(store) == before


def test_pod_cannot_leave_and_claim_in_one_sync(store: Store) -> None:
    join(store)
    submit(store, "step")

    with pytest.raises(IncarnationEnded):
        store.sync(SyncRequest("pod", "one", Leave("pod", "one"), claim=1, claim_token="token"))

    assert store.counts()["pending"] == 1
    assert store.pods().pods[0].status == "up"


def test_sleeping_pod_is_not_declared_dead_and_is_woken_by_a_heartbeat(
    store: Store, clock: FakeClock
) -> None:
    join(store)
    born = clock()
    send(store, Sleep("pod", "one"))
    send(store, Sleep("pod", "one"))
    clock.advance(3_600)

    assert store.declare_dead(store.pods().pods) == []
    assert only_pod(store) == Pod("pod", "asleep", born, born, "one", 2)

    send(store, SendHeartbeat("pod", "one"))
    assert only_pod(store) == Pod("pod", "up", born, clock(), "one", 3)
    assert [event.fact.type for event in store.pod_history("pod")] == ["joined", "slept", "woke"]


def test_sleeping_pod_claims_only_if_it_wakes(store: Store) -> None:
    join(store)
    submit(store, "step")
    send(store, Sleep("pod", "one"))
    before = snapshot_of(store)

    with pytest.raises(IllegalTransition, match="asleep"):
        claim(store)
    assert snapshot_of(store) == before

    request = SyncRequest("pod", "one", SendHeartbeat("pod", "one"), claim=1, claim_token="token")
    assert [step.step_id for step in store.sync(request).claimed] == ["step"]


@pytest.mark.parametrize(
    ("pod_command", "status"), [(Drain("pod", "one"), "draining"), (Leave("pod", "one"), "down")]
)
def test_sleeping_pod_can_drain_or_leave(
    store: Store, pod_command: Drain | Leave, status: str
) -> None:
    join(store)
    send(store, Sleep("pod", "one"))

    send(store, pod_command)

    assert only_pod(store).status == status
