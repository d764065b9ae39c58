"""Pods tell what they are when they join, and the fleet knows which steps none of them takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import Raw

from fleet_q.core.calls import run
from fleet_q.core.events import Joined
from fleet_q.core.pod import Drain, Join, Leave, Pod, PodDescription, SendHeartbeat, Sleep
from fleet_q.core.ports import Store, SyncRequest
from fleet_q.core.step import Complete, Submit
from fleet_q.core.unserved import Pair, find_unserved

from .clock import SECOND, FakeClock
from .helpers import claim, join
from .stores import StoreKind

OLD = PodDescription("host-1", "1.4.2", 6, None, ("resize", "")).text
NEW = PodDescription(
    "höst's", None, 1_000, ("gpu", 'a "queue"'), ('it\'s "new"', '\\ % "becomes":')
).text
DEAD_AFTER = 60 * SECOND


def tell(
    store: Store, description: str | None, incarnation: str = "one", *, is_retry: bool = False
) -> None:
    command = Join("pod", incarnation, description)
    store.sync(SyncRequest("pod", incarnation, command, is_retry=is_retry))


def described(store: Store) -> Pod:
    (pod,) = store.described_pods().pods
    return pod


def told(store: Store) -> list[Raw | None]:
    """The descriptions in the pod's log."""
    facts = (event.fact for event in store.pod_history("pod"))
    return [fact.description for fact in facts if isinstance(fact, Joined)]


def unserved(store: Store) -> list[Pair]:
    return run(store, find_unserved(DEAD_AFTER))


@pytest.mark.parametrize("description", [OLD, NEW, None])
def test_join_stores_what_the_pod_tells(store: Store, description: str | None) -> None:
    tell(store, description)
    assert described(store).description == description
    assert told(store) == [None if description is None else Raw(description.encode())]
    assert store.rebuild(check=True).equal


def test_later_incarnation_replaces_the_description(store: Store) -> None:
    tell(store, OLD)
    tell(store, NEW, "two")
    assert described(store).description == NEW
    tell(store, None, "three")
    assert described(store).description is None
    assert told(store) == [Raw(OLD.encode()), Raw(NEW.encode()), None]


def test_repeated_join_changes_nothing(store: Store) -> None:
    tell(store, OLD)
    tell(store, NEW, is_retry=True)
    assert described(store).description == OLD
    assert len(told(store)) == 1


def test_description_stays_until_the_incarnation_ends_and_after(
    store: Store, clock: FakeClock
) -> None:
    tell(store, OLD)
    for command in (SendHeartbeat, Sleep, SendHeartbeat, Drain, Leave):
        clock.advance(1)
        store.sync(SyncRequest("pod", "one", command("pod", "one")))
        assert described(store).description == OLD
    tell(store, NEW, "two")
    (declared,) = store.declare_dead(store.pods().pods)
    assert (declared.status, described(store).description) == ("down", NEW)


def test_pods_are_listed_with_and_without_descriptions(store: Store) -> None:
    tell(store, OLD)
    join(store, "other")
    pods, with_descriptions = store.pods(), store.described_pods()
    assert [pod.pod_id for pod in pods.pods] == ["other", "pod"]
    assert [pod.description for pod in with_descriptions.pods] == [None, OLD]
    assert {pod.description for pod in pods.pods} <= {None, OLD}


def test_rebuild_restores_a_description(kind: StoreKind, store: Store, tmp_path: Path) -> None:
    if kind.execute is None:
        pytest.skip("this store has no SQL")
    tell(store, NEW)
    kind.execute(tmp_path, store, "UPDATE pod_health SET description = NULL")
    assert store.rebuild(check=True).differing_pods == ("pod",)
    store.rebuild()
    assert described(store).description == NEW


def test_pod_with_a_description_is_pruned(store: Store) -> None:
    tell(store, OLD)
    store.sync(SyncRequest("pod", "one", Leave("pod", "one")))
    (pod,) = store.pods().pods
    if pod.description is None:  # it was left out
        (pod,) = store.described_pods().pods
    assert store.prune_pod(pod).streams == 1
    assert store.pods().pods == ()


def test_pending_types_are_those_of_pending_steps(store: Store) -> None:
    assert store.pending_types() == []
    join(store)
    store.submit([Submit("claimed", "{}", 9, queue="a", task_type="claimed")])
    store.submit([Submit("completed", "{}", 8, queue="a", task_type="completed")])
    claim(store, 2, "token")
    store.sync(SyncRequest("pod", "one", outcomes=(Complete("completed", "token", "null"),)))
    store.submit([Submit("cancelled", "{}", task_type="cancelled")])
    store.cancel("cancelled")
    store.submit(
        [
            Submit("one", "{}", queue="it's", task_type='a "type"'),
            Submit("keyed", "{}", queue="it's", task_type='a "type"', key="key"),
            Submit("none", "{}"),
            Submit("delayed", "{}", queue="gpu", task_type="x", delay=3_600 * SECOND),
            Submit("again", "{}", queue="gpu", task_type="x", delay=3_600 * SECOND),
            Submit("other", "{}", queue="gpu", task_type="y", delay=3_600 * SECOND),
        ]
    )
    assert sorted(store.pending_types()) == [
        ("default", ""),
        ("gpu", "x"),
        ("gpu", "y"),
        ("it's", 'a "type"'),
    ]


def test_steps_are_unserved_until_a_pod_comes_that_knows_them(
    store: Store, clock: FakeClock
) -> None:
    assert unserved(store) == []
    store.submit([Submit("old", "{}", task_type="resize"), Submit("none", "{}")])
    store.submit([Submit("new", "{}", queue="gpu", task_type='it\'s "new"')])
    assert len(unserved(store)) == 3
    tell(store, OLD)
    assert unserved(store) == [("gpu", 'it\'s "new"')]
    store.sync(SyncRequest("new", "one", Join("new", "one", NEW)))
    assert unserved(store) == []
    store.sync(SyncRequest("new", "one", Sleep("new", "one")))
    clock.advance(2 * 60)
    store.sync(SyncRequest("pod", "one", SendHeartbeat("pod", "one")))
    assert unserved(store) == [], "a pod that is asleep wakes for its steps"
    store.sync(SyncRequest("new", "one", Drain("new", "one")))
    assert unserved(store) == [("gpu", 'it\'s "new"')]
    clock.advance(2 * 60)
    assert len(unserved(store)) == 3, "a silent pod does not count"
