"""Which pending steps no pod takes, and which of them a leader reports."""

from __future__ import annotations

import pytest

from fleet_q.adapters.memory import MemoryStore
from fleet_q.core.calls import run
from fleet_q.core.lifecycle import PodStatus
from fleet_q.core.pod import Join, Pod, PodDescription
from fleet_q.core.ports import SyncRequest
from fleet_q.core.routing import EVERYWHERE, Routes
from fleet_q.core.step import Submit
from fleet_q.core.unserved import (
    UnservedTracker,
    find_unserved,
    routes_of,
    then_find_unserved,
    unserved,
)

NOW = 1_000_000_000
DEAD_AFTER = 60_000_000
WAITING = [("gpu", "resize"), ("default", "load"), ("default", "resize"), ("default", "")]


@pytest.mark.parametrize(
    ("routes", "left"),
    [
        ([], [("default", ""), ("default", "load"), ("default", "resize"), ("gpu", "resize")]),
        ([EVERYWHERE], []),
        ([Routes(("gpu",)), Routes(None, ("load",))], [("default", ""), ("default", "resize")]),
        ([Routes(("default",), ("", "load", "resize"))], [("gpu", "resize")]),
        ([Routes(()), Routes(None, ())], sorted(WAITING)),
    ],
)
def test_steps_are_unserved_that_no_routes_serve(
    routes: list[Routes], left: list[tuple[str, str]]
) -> None:
    assert unserved(WAITING, routes) == left


@pytest.mark.parametrize(
    ("status", "age", "counts"),
    [
        ("up", 0, True),
        ("up", DEAD_AFTER, False),
        ("asleep", 10 * DEAD_AFTER, True),
        ("draining", 0, False),
        ("down", 0, False),
    ],
)
def test_routes_of_pods_that_live_and_are_up_or_asleep_count(
    status: PodStatus, age: int, counts: bool
) -> None:
    text = PodDescription("host", None, 8, None, ("resize",)).text
    pod = Pod("pod", status, 0, NOW - age, "one", description=text)
    assert list(routes_of([pod], NOW, DEAD_AFTER)) == [Routes(None, ("resize",))] * counts


@pytest.mark.parametrize("description", [None, "", "{", "[]", '{"host": 1}'])
def test_pod_that_told_nothing_that_is_understood_takes_no_steps(description: str | None) -> None:
    pod = Pod("pod", "up", 0, NOW, "one", description=description)
    assert pod.described is None
    assert list(routes_of([pod], NOW, DEAD_AFTER)) == []


def test_description_with_fields_of_a_later_version_is_understood() -> None:
    text = '{"host": "h", "version": "2", "slots": 3, "queues": ["a"], "zone": "eu"}'
    described = Pod("pod", "up", 0, NOW, "one", description=text).described
    assert described == PodDescription("h", "2", 3, ("a",), None)


def test_pods_are_read_only_if_steps_are_pending() -> None:
    program = find_unserved(DEAD_AFTER)
    assert next(program).method == "pending_types"
    with pytest.raises(StopIteration) as end:
        program.send([])
    assert end.value.value == []


def test_leader_looks_after_its_recovery_cycle_and_others_do_not() -> None:
    store = MemoryStore(lambda: NOW)
    store.submit([Submit("step", "{}", task_type="new")])
    description = PodDescription("h", None, 1, ("default",)).text
    store.sync(SyncRequest("pod", "one", Join("pod", "one", description)))
    store.submit([Submit("gpu", "{}", queue="gpu")])
    found: list[list[tuple[str, str]]] = []
    for leads in (False, True):

        def cycle(leads: bool = leads):  # type: ignore[no-untyped-def]
            return leads
            yield

        assert run(store, then_find_unserved(cycle(), DEAD_AFTER, found.append)) == leads
    assert found == [[("gpu", "")]]


def test_pair_is_reported_once_by_the_second_look_that_finds_it() -> None:
    tracker = UnservedTracker()
    a, b = ("default", "a"), ("default", "b")
    assert tracker.on_found([a]) == []
    assert tracker.on_found([a, b]) == [a]
    assert tracker.on_found([a, b]) == [b]
    assert tracker.on_found([a, b]) == []


def test_pair_that_was_served_meanwhile_is_reported_again() -> None:
    tracker = UnservedTracker()
    pair = ("default", "a")
    reported = [tracker.on_found(found) for found in ([pair], [pair], [], [pair], [pair], [pair])]
    assert reported == [[], [pair], [], [], [pair], []]
