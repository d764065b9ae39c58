"""A pod is silent if its row is unchanged for the threshold while the observer sends heartbeats."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_q.core.lifecycle import PodStatus
from fleet_q.core.pod import Pod
from fleet_q.core.silence import SilenceTracker, longest_gap

DEAD_AFTER, HEARTBEAT = 60.0, 10.0
GAP = longest_gap(HEARTBEAT, DEAD_AFTER)


def pod(
    pod_id: str = "pod", version: int = 1, status: PodStatus = "up", *, last_heartbeat_ts: int = 0
) -> Pod:
    return Pod(pod_id, status, 0, last_heartbeat_ts, "one", version)


class Observer:
    """A tracker with a clock; it sends a heartbeat and reads the pods every ten seconds."""

    def __init__(self, *pods: Pod) -> None:
        self.tracker = SilenceTracker(DEAD_AFTER, GAP)
        self.now = 1_000.0
        self.pods = pods
        self.send_heartbeat()

    def send_heartbeat(self) -> None:
        self.tracker.on_heartbeat(self.now)
        self.tracker.on_pods(self.pods, self.now)

    def poll(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now = min(self.now + HEARTBEAT, until)
            self.send_heartbeat()

    def miss_heartbeats_for(self, seconds: float) -> None:
        self.now += seconds
        self.send_heartbeat()


def test_pod_is_silent_after_a_threshold_without_a_change_of_its_row() -> None:
    observer = Observer(pod())
    observer.poll(59.9)
    assert observer.tracker.silent() == []
    observer.poll(0.1)
    assert observer.tracker.silent() == [pod()]


@pytest.mark.parametrize("last_heartbeat_ts", [-(10**12), 0, 10**18])
def test_silence_does_not_depend_on_wall_clock_times_in_the_row(last_heartbeat_ts: int) -> None:
    observer = Observer(pod(last_heartbeat_ts=last_heartbeat_ts))
    assert observer.tracker.silent() == []
    observer.poll(60)
    assert observer.tracker.silent() == [pod(last_heartbeat_ts=last_heartbeat_ts)]


def test_every_change_of_the_row_restarts_the_silence() -> None:
    observer = Observer(pod())
    for version in range(2, 5):
        observer.poll(59)
        observer.pods = (pod(version=version),)
        observer.send_heartbeat()
    observer.poll(59)
    assert observer.tracker.silent() == []
    observer.poll(1)
    assert observer.tracker.silent() == [pod(version=4)]


@pytest.mark.parametrize("status", ["down", "asleep"])
def test_pod_that_is_down_or_asleep_is_never_silent(status: PodStatus) -> None:
    observer = Observer(pod(status=status))
    observer.poll(1_000)
    assert observer.tracker.silent() == []


@pytest.mark.parametrize("gap", [GAP + 0.1, 3 * DEAD_AFTER, 10 * DEAD_AFTER])
def test_gap_between_heartbeats_of_the_observer_restarts_every_silence(gap: float) -> None:
    observer = Observer(pod())
    observer.poll(59)
    observer.miss_heartbeats_for(gap)
    observer.poll(59)
    assert observer.tracker.silent() == []
    observer.poll(1)
    assert observer.tracker.silent() == [pod()]


def test_short_gap_between_heartbeats_does_not_restart_silences() -> None:
    observer = Observer(pod())
    observer.poll(30)
    observer.miss_heartbeats_for(GAP)
    assert observer.tracker.silent() == [pod()]


def test_time_after_the_last_heartbeat_of_the_observer_does_not_count() -> None:
    observer = Observer(pod())
    observer.poll(50)
    observer.now += 100  # it was suspended, or its heartbeat failed
    observer.tracker.on_pods(observer.pods, observer.now)
    assert observer.tracker.silent() == []
    assert not observer.tracker.is_any_due(observer.now)


def test_no_pod_is_silent_before_the_first_heartbeat_of_the_observer() -> None:
    tracker = SilenceTracker(DEAD_AFTER, GAP)
    tracker.on_pods([pod()], 0.0)
    tracker.on_pods([pod()], 1_000.0)
    assert tracker.silent() == []
    assert not tracker.is_any_due(1_000.0)


def test_next_due_returns_when_the_next_pod_becomes_silent() -> None:
    observer = Observer(pod("a"))
    observer.poll(20)
    observer.pods = (pod("a"), pod("b"))
    observer.send_heartbeat()
    assert observer.tracker.next_due(observer.now) == 1_060.0
    observer.poll(35)
    assert not observer.tracker.is_any_due(1_059.9)
    assert observer.tracker.is_any_due(1_060.0)
    assert observer.tracker.next_due(1_060.0) == 1_080.0
    assert observer.tracker.next_due(1_080.0) == math.inf


@given(st.floats(0.1, 100), st.floats(2, 20))
def test_pod_delayed_by_the_longest_gap_is_seen_within_the_threshold(
    heartbeat: float, ratio: float
) -> None:
    """Its heartbeat was due when the gap began and is sent half an interval after it ended."""
    dead_after = heartbeat * ratio
    gap = longest_gap(heartbeat, dead_after)
    assert gap >= 1.5 * heartbeat, "or every late heartbeat of the observer would be a gap"
    if ratio >= 3:
        assert heartbeat + gap + heartbeat / 2 <= dead_after * 1.000_001


def test_no_pod_should_watch_while_every_row_changes() -> None:
    observer = Observer(pod("observer"), pod("other"))
    observer.poll(GAP - HEARTBEAT)
    assert not observer.tracker.should_watch("observer", observer.now)


@pytest.mark.parametrize(
    ("older", "should_watch"),
    [("up", False), ("draining", True), ("asleep", True), ("down", True)],
)
def test_oldest_pod_that_is_up_and_not_overdue_should_watch(
    older: PodStatus, should_watch: bool
) -> None:
    observer = Observer()
    for version in range(1, 5):
        observer.pods = (
            Pod("oldest", "up", 1, 0, "one"),  # dead, but not declared dead yet
            Pod("older", older, 2, 0, "one", version),
            Pod("observer", "up", 3, 0, "one", version),
            Pod("younger", "up", 4, 0, "one", version),
        )
        observer.poll(HEARTBEAT)
    assert observer.tracker.should_watch("observer", observer.now) == should_watch
    assert not observer.tracker.should_watch("younger", observer.now)
