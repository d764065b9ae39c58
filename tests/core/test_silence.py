"""A pod is silent if its row did not change for a whole threshold that the observer was there."""

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


def pod(pod_id: str = "pod", version: int = 1, status: PodStatus = "up", *, heard: int = 0) -> Pod:
    return Pod(pod_id, status, 0, heard, "one", version)


class Observer:
    """A tracker with a clock, a heartbeat every ten seconds, and the rows that it reads then."""

    def __init__(self, *pods: Pod) -> None:
        self.tracker = SilenceTracker(DEAD_AFTER, GAP)
        self.now = 1_000.0
        self.pods = pods
        self.beat()

    def beat(self) -> None:
        self.tracker.on_heartbeat(self.now)
        self.tracker.on_pods(self.pods, self.now)

    def poll(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now = min(self.now + HEARTBEAT, until)
            self.beat()

    def be_away(self, seconds: float) -> None:
        self.now += seconds
        self.beat()


def test_a_pod_is_silent_after_a_whole_threshold_without_a_change_of_its_row() -> None:
    observer = Observer(pod())
    observer.poll(59.9)
    assert observer.tracker.silent() == []
    observer.poll(0.1)
    assert observer.tracker.silent() == [pod()]


@pytest.mark.parametrize("heard", [-(10**12), 0, 10**18])
def test_wall_clock_times_in_the_row_do_not_matter(heard: int) -> None:
    observer = Observer(pod(heard=heard))
    assert observer.tracker.silent() == []
    observer.poll(60)
    assert observer.tracker.silent() == [pod(heard=heard)]


def test_every_change_of_the_row_begins_the_silence_anew() -> None:
    observer = Observer(pod())
    for version in range(2, 5):
        observer.poll(59)
        observer.pods = (pod(version=version),)
        observer.beat()
    observer.poll(59)
    assert observer.tracker.silent() == []
    observer.poll(1)
    assert observer.tracker.silent() == [pod(version=4)]


@pytest.mark.parametrize("status", ["down", "asleep"])
def test_a_pod_that_ended_or_sleeps_is_never_silent(status: PodStatus) -> None:
    observer = Observer(pod(status=status))
    observer.poll(1_000)
    assert observer.tracker.silent() == []


@pytest.mark.parametrize("away", [GAP + 0.1, 3 * DEAD_AFTER, 10 * DEAD_AFTER])
def test_after_a_gap_of_its_own_the_observer_waits_a_whole_threshold(away: float) -> None:
    observer = Observer(pod())
    observer.poll(59)
    observer.be_away(away)
    observer.poll(59)
    assert observer.tracker.silent() == []
    observer.poll(1)
    assert observer.tracker.silent() == [pod()]


def test_a_gap_that_is_short_interrupts_nothing() -> None:
    observer = Observer(pod())
    observer.poll(30)
    observer.be_away(GAP)
    assert observer.tracker.silent() == [pod()]


def test_time_after_the_last_heartbeat_of_the_observer_does_not_count() -> None:
    observer = Observer(pod())
    observer.poll(50)
    observer.now += 100  # it stood still, or the store did not take its heartbeat
    observer.tracker.on_pods(observer.pods, observer.now)
    assert observer.tracker.silent() == []
    assert not observer.tracker.is_any_due(observer.now)


def test_nobody_is_silent_to_an_observer_without_a_heartbeat() -> None:
    tracker = SilenceTracker(DEAD_AFTER, GAP)
    tracker.on_pods([pod()], 0.0)
    tracker.on_pods([pod()], 1_000.0)
    assert tracker.silent() == []
    assert not tracker.is_any_due(1_000.0)


def test_the_next_silence_is_known_in_advance() -> None:
    observer = Observer(pod("a"))
    observer.poll(20)
    observer.pods = (pod("a"), pod("b"))
    observer.beat()
    assert observer.tracker.next_due(observer.now) == 1_060.0
    observer.poll(35)
    assert not observer.tracker.is_any_due(1_059.9)
    assert observer.tracker.is_any_due(1_060.0)
    assert observer.tracker.next_due(1_060.0) == 1_080.0
    assert observer.tracker.next_due(1_080.0) == math.inf


@given(st.floats(0.1, 100), st.floats(2, 20))
def test_whoever_was_kept_waiting_for_a_gap_at_most_is_heard_of_in_time(
    heartbeat: float, ratio: float
) -> None:
    """A heartbeat that was due when the gap began, and half an interval of backoff after it."""
    dead_after = heartbeat * ratio
    gap = longest_gap(heartbeat, dead_after)
    assert gap >= 1.5 * heartbeat, "or every late heartbeat of the observer would be a gap"
    if ratio >= 3:
        assert heartbeat + gap + heartbeat / 2 <= dead_after * 1.000_001


def test_nobody_is_to_watch_while_every_row_changes() -> None:
    observer = Observer(pod("observer"), pod("other"))
    observer.poll(GAP - HEARTBEAT)
    assert not observer.tracker.should_watch("observer", observer.now)


@pytest.mark.parametrize(
    ("older", "should_watch"),
    [("up", False), ("draining", True), ("asleep", True), ("down", True)],
)
def test_the_oldest_pod_that_is_awake_and_heard_is_to_watch_a_missed_one(
    older: PodStatus, should_watch: bool
) -> None:
    observer = Observer()
    for version in range(1, 5):
        observer.pods = (
            Pod("oldest", "up", 1, 0, "one"),  # dead, though nobody knows yet
            Pod("older", older, 2, 0, "one", version),
            Pod("observer", "up", 3, 0, "one", version),
            Pod("younger", "up", 4, 0, "one", version),
        )
        observer.poll(HEARTBEAT)
    assert observer.tracker.should_watch("observer", observer.now) == should_watch
    assert not observer.tracker.should_watch("younger", observer.now)
