"""Leader election: all pods elect the same leader from the same table, or none."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_q.core.leadership import leader, live_pods, silent_pods
from fleet_q.core.lifecycle import PodStatus
from fleet_q.core.pod import Pod

fleets = st.lists(
    st.builds(
        Pod,
        pod_id=st.text("abc", min_size=1, max_size=3),
        status=st.sampled_from(get_args(PodStatus)),
        birth_ts=st.integers(0, 3),
        last_heartbeat_ts=st.integers(0, 10),
        incarnation=st.just("one"),
    ),
    max_size=8,
    unique_by=lambda pod: pod.pod_id,
)
times = st.integers(0, 15)
thresholds = st.integers(1, 8)


def pod(pod_id: str, birth: int, status: PodStatus = "up", heard: int = 10) -> Pod:
    return Pod(pod_id, status, birth, heard, "one")


def leads(*fleet: Pod) -> str | None:
    elected = leader(fleet, at=10, dead_after=5)
    return None if elected is None else elected.pod_id


def test_oldest_pod_leads() -> None:
    assert leads(pod("a", 3), pod("b", 1), pod("c", 2)) == "b"


def test_first_by_id_leads_among_pods_of_equal_age() -> None:
    assert leads(pod("c", 1), pod("a", 1), pod("b", 1)) == "a"


@pytest.mark.parametrize(
    "ineligible", [pod("a", 1, "draining"), pod("a", 1, "down"), pod("a", 1, heard=5)]
)
def test_draining_down_or_silent_pod_does_not_lead(ineligible: Pod) -> None:
    assert leads(ineligible, pod("b", 2)) == "b"
    assert leads(ineligible) is None


def test_sleeping_pod_leads_only_if_no_pod_is_up() -> None:
    assert leads(pod("a", 1, "asleep", heard=0), pod("b", 2)) == "b"
    assert leads(pod("b", 2, "asleep", heard=0), pod("a", 1, "asleep", heard=0)) == "a"


def test_empty_fleet_has_no_leader() -> None:
    assert leads() is None


@given(fleets, times, thresholds, st.randoms())
def test_leader_does_not_depend_on_the_order_of_the_pods(
    fleet: list[Pod], at: int, dead_after: int, chance: object
) -> None:
    shuffled = list(fleet)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert leader(fleet, at, dead_after) == leader(shuffled, at, dead_after)
    assert live_pods(fleet, at, dead_after) == live_pods(shuffled, at, dead_after)


@given(fleets, times, thresholds)
def test_leader_is_the_first_eligible_pod(fleet: list[Pod], at: int, dead_after: int) -> None:
    eligible = [
        (pod.status == "asleep", pod.birth_ts, pod.pod_id)
        for pod in fleet
        if pod.status == "asleep"
        or (pod.status == "up" and abs(at - pod.last_heartbeat_ts) < dead_after)
    ]
    elected = leader(fleet, at, dead_after)
    order = (
        None if elected is None else (elected.status == "asleep", elected.birth_ts, elected.pod_id)
    )
    assert order == min(eligible, default=None)


@given(fleets, times, thresholds)
def test_every_pod_is_live_or_silent_or_down(fleet: list[Pod], at: int, dead_after: int) -> None:
    live = {pod.pod_id for pod in live_pods(fleet, at, dead_after)}
    silent = {pod.pod_id for pod in silent_pods(fleet, at, dead_after)}
    down = {pod.pod_id for pod in fleet if pod.status == "down"}
    assert live | silent | down == {pod.pod_id for pod in fleet}
    assert not live & silent
    assert not down & (live | silent)
