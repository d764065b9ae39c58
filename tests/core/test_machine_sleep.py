"""Where writes are billed, an idle pod falls asleep, and wakes when there is work."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest

from fleet_q.core.errors import IllegalTransition, IncarnationEnded
from fleet_q.core.pod import Drain, Join, Leave, Pod, SendHeartbeat, Sleep, check_may_claim
from fleet_q.core.ports import PodList, StoreTraits, SyncRequest
from fleet_q.core.settings import PodSettings
from fleet_q.core.worker.combining import MANY_PODS
from fleet_q.core.worker.membership import Membership
from fleet_q.core.worker.pacing import CLAIMING_SPREAD, LONGEST_JITTER
from fleet_q.core.worker.plan import Plan
from tests.core.helpers import AT, Driver, live_pod

SECOND = 1_000_000


class Sleeper(Driver):
    """Drives a pod with a store that bills writes, a change counter, and other pods."""

    def __init__(self, *, writes_are_billed: bool = True, **settings: Any) -> None:
        super().__init__(traits=StoreTraits(writes_are_billed=writes_are_billed), **settings)
        self.change_counter = 7
        self.poll_fails = False
        self.leaders: tuple[Pod, ...] = ()
        self.leader_checks: list[float] = []
        self.commands: list[type] = []
        self.claimed_at: list[float] = []

    def live(self, seconds: float, *, asleep: bool | None = None, **answer: Any) -> None:
        """Let time pass and carry out every plan. The store has no step to claim."""
        until = self.now + seconds
        while True:
            plan = self.plan()
            self.carry_out(plan, **answer)
            if plan.request is None and not plan.poll and not plan.check_leader:
                if plan.next_at > until:
                    break
                self.now = plan.next_at
        self.now = until
        if asleep is not None:
            assert (self.machine.phase == "asleep") is asleep

    def carry_out(self, plan: Plan, **answer: Any) -> None:
        if plan.poll and self.poll_fails:
            self.machine.on_store_unavailable(self.now)
        elif plan.poll:
            self.machine.on_change_counter(self.change_counter, self.now)
        if plan.check_leader:
            self.leader_checks.append(self.now)
            self.machine.on_pods(PodList(AT, self.leaders), self.now)
        if plan.request is not None:
            if plan.request.only_if_claimable:
                answer = {"done": False, **answer}
            self.commands.append(type(plan.request.pod_command))
            self.claimed_at += [self.now] if plan.request.claim else []
            self.answer(plan.request, **answer)


def asleep(**settings: Any) -> Sleeper:
    driver = Sleeper(sleep_after=60.0, **settings)
    driver.live(61, asleep=True)
    driver.commands.clear()
    return driver


def request_after_change(driver: Sleeper) -> SyncRequest:
    """The request that follows a change of the counter within a claim interval."""
    driver.change_counter += 1
    until = driver.now + 5
    while (plan := driver.plan()).request is None:
        driver.carry_out(plan)
        driver.now = max(driver.now, driver.plan().next_at)
    assert driver.now <= until
    return plan.request


def plan_to_sleep(driver: Sleeper) -> Plan:
    """The first plan in which the pod falls asleep."""
    while not isinstance((plan := driver.plan()).request and plan.request.pod_command, Sleep):
        driver.carry_out(plan)
        if plan.request is None and not plan.poll:
            driver.now = plan.next_at
    return plan


def test_pod_without_work_falls_asleep() -> None:
    driver = Sleeper(sleep_after=60.0)
    driver.live(59, asleep=False)
    driver.live(1, asleep=True)
    assert driver.commands[-1] is Sleep


def test_idle_pod_claims_only_after_a_change_where_writes_are_billed() -> None:
    driver = Sleeper(sleep_after=600.0, claim_interval=5.0)
    driver.live(30)
    assert driver.claimed_at == [100.0, 105.0]
    driver.change_counter += 1
    driver.live(30)
    assert driver.claimed_at == [100.0, 105.0, 135.0, 140.0]


def test_step_that_the_store_shows_later_than_the_change_is_claimed() -> None:
    driver = Sleeper(sleep_after=600.0, claim_interval=5.0)
    driver.live(30)
    driver.change_counter += 1
    driver.live(5)
    assert driver.claimed_at[-1] == driver.now
    driver.wait(5)
    assert driver.sync().claim


def test_sleeping_pod_looks_again_for_a_step_that_the_store_shows_later() -> None:
    driver = asleep(claim_interval=5.0)
    driver.claimed_at.clear()
    driver.change_counter += 1
    driver.live(120, asleep=True)
    first, second = driver.claimed_at
    assert second - first == 5.0


def test_pod_claims_after_its_own_outcome_without_a_change() -> None:
    driver = Sleeper(claim_interval=5.0)
    driver.sync_once("a")
    driver.live(100)
    driver.claimed_at.clear()
    driver.finish("a")
    driver.live(20)
    assert driver.claimed_at == [205.0]


def test_pod_claims_at_intervals_while_polls_fail() -> None:
    driver = Sleeper(claim_interval=5.0)
    driver.poll_fails = True
    driver.live(60)
    assert len(driver.claimed_at) > 5


def test_pod_does_not_sleep_where_writes_are_not_billed() -> None:
    driver = Sleeper(writes_are_billed=False, sleep_after=60.0)
    driver.live(600, asleep=False)


def polls_of(driver: Sleeper, seconds: float) -> list[float]:
    """The times between the polls of a sleeping pod, which does nothing else."""
    until, polls = driver.now + seconds, [driver.now]
    while driver.now < until:
        plan = driver.plan()
        assert plan.request is None
        assert not plan.recover
        polls += [driver.now] * plan.poll
        driver.carry_out(plan)
        driver.now = max(driver.now, driver.plan().next_at)
    return [later - earlier for earlier, later in pairwise(polls)]


def test_sleeping_pod_polls_ever_more_rarely_up_to_the_sleep_poll_interval() -> None:
    driver = asleep(claim_interval=5.0, sleep_poll_interval=30.0)
    first, *others = polls_of(driver, 3_600)
    assert first <= 5
    assert others[:5] == [5, 10, 20, 30, 30]
    assert set(others[5:]) == {30}


def test_sleeping_pod_polls_no_more_often_than_it_claims() -> None:
    driver = asleep(claim_interval=60.0, sleep_poll_interval=30.0)
    assert set(polls_of(driver, 3_600)[1:]) == {60}


def test_polls_begin_at_the_claim_interval_again_after_work_was_found() -> None:
    driver = asleep(claim_interval=5.0, sleep_poll_interval=30.0)
    driver.live(600, asleep=True)
    driver.change_counter += 1
    driver.live(30, asleep=False, done=True)
    while driver.machine.phase != "asleep":
        driver.live(1)
    assert polls_of(driver, 60)[1:4] == [5, 10, 20]


def test_polls_stay_rare_after_a_change_without_a_step_to_claim() -> None:
    driver = asleep(claim_interval=5.0, sleep_poll_interval=30.0)
    driver.live(600, asleep=True)
    driver.change_counter += 1
    driver.live(31, asleep=True)
    assert set(polls_of(driver, 300)[1:]) == {30}


def test_due_times_and_leader_checks_do_not_wait_for_polls() -> None:
    driver = Sleeper(sleep_after=60.0, dead_pod_threshold=60.0, sleep_poll_interval=3_600.0)
    driver.leaders = (live_pod(Join("another", "one")),)
    driver.live(
        62, asleep=True, any_claimed=True, next_due=AT + 1_000 * SECOND
    )  # it claimed at 100 and 105
    driver.live(900, asleep=True)
    assert len(driver.leader_checks) == 15
    driver.live(43, asleep=False, next_due=None, done=True)


def test_sleeping_pod_wakes_after_a_change_if_there_is_a_step_to_claim() -> None:
    driver = asleep(claim_interval=5.0)
    request = request_after_change(driver)
    assert (request.pod_command, request.claim, request.only_if_claimable) == (
        SendHeartbeat("pod", request.incarnation),
        6,
        True,
    )
    assert driver.answer(request, "a") == ["a"]
    assert driver.machine.phase == "up"
    driver.wait(10)
    assert driver.sync().pod_command == SendHeartbeat("pod", request.incarnation)


def test_sleeping_pod_stays_asleep_after_a_change_without_a_step_to_claim() -> None:
    driver = asleep(claim_interval=5.0)
    driver.answer(request_after_change(driver), done=False)
    driver.live(3_600, asleep=True)
    assert len(driver.claimed_at) == 3  # at the start, before it slept, and once more now


def test_pod_that_woke_and_finds_no_more_steps_falls_asleep_again() -> None:
    driver = asleep(claim_interval=5.0)
    driver.answer(request_after_change(driver))
    driver.live(59, asleep=False)
    driver.live(2, asleep=True)


def test_wake_is_retried_after_a_lost_answer() -> None:
    driver = asleep(claim_interval=5.0)
    request = request_after_change(driver)
    driver.wait(driver.machine.on_store_unavailable(driver.now))
    again = driver.sync()
    assert (again.claim_token, again.is_retry) == (request.claim_token, True)
    driver.answer(again, "a")
    assert driver.machine.phase == "up"


def test_pod_wakes_after_a_change_that_comes_while_it_falls_asleep() -> None:
    driver = Sleeper(sleep_after=60.0)
    driver.live(58)
    plan = plan_to_sleep(driver)
    driver.change_counter += 1  # a step is submitted while the pod falls asleep
    driver.carry_out(plan)
    driver.live(5.1, asleep=False, done=True)


def test_pod_wakes_after_a_change_while_it_falls_asleep_although_its_syncs_waited() -> None:
    driver = Sleeper(sleep_after=60.0)
    driver.live(50)
    request = request_after_change(driver)
    driver.wait(5)  # behind other pods, for a lock
    driver.answer(request)
    plan = plan_to_sleep(driver)
    driver.change_counter += 1
    driver.carry_out(plan)
    driver.live(5.1 + LONGEST_JITTER, asleep=False, done=True)


def test_sleeping_pod_wakes_when_delayed_step_is_due() -> None:
    driver = Sleeper(sleep_after=60.0)
    driver.live(65, asleep=True, next_due=AT + 100 * SECOND)  # it claimed at 100 and 105
    driver.live(39, asleep=True)
    driver.live(1, asleep=False, next_due=None, done=True)
    assert driver.commands[-1] is SendHeartbeat


def test_pod_does_not_fall_asleep_just_before_a_step_is_due() -> None:
    driver = Sleeper(sleep_after=60.0)
    driver.live(120, asleep=False, next_due=AT + 3 * SECOND, done=True)
    assert Sleep not in driver.commands


def test_sleeping_pod_checks_for_a_leader_while_steps_are_claimed() -> None:
    driver = Sleeper(sleep_after=60.0, dead_pod_threshold=60.0)
    driver.leaders = (live_pod(Join("another", "one")),)
    driver.live(62, asleep=True, any_claimed=True)
    driver.live(179, asleep=True)
    assert len(driver.leader_checks) == 3


@pytest.mark.parametrize(
    "others",
    [
        [],
        [live_pod(Join("another", "one"), at=AT - 60 * SECOND)],
        [live_pod(Join("another", "one"), Sleep("another", "one"))],
        [live_pod(Join("another", "one"), Drain("another", "one"))],
        [live_pod(Join("another", "one"), Leave("another", "one"))],
    ],
    ids=["nobody", "silent", "asleep", "draining", "down"],
)
def test_sleeping_pod_wakes_to_lead_while_steps_are_claimed_and_no_pod_leads(
    others: list[Pod],
) -> None:
    driver = Sleeper(sleep_after=60.0, dead_pod_threshold=60.0)
    driver.leaders = tuple(others)
    driver.live(62, asleep=True, any_claimed=True)
    driver.live(61, asleep=False, any_claimed=True)
    assert driver.commands[-1] is SendHeartbeat


def test_sleeping_pod_that_looks_after_frequent_changes_checks_for_a_leader() -> None:
    driver = Sleeper(sleep_after=60.0, dead_pod_threshold=60.0, sleep_poll_interval=5.0)
    driver.leaders = (live_pod(Join("another", "one")),)
    driver.live(62, asleep=True, any_claimed=True)
    for _ in range(9):
        driver.change_counter += 1
        driver.live(20, asleep=True, any_claimed=True)
    assert len(driver.leader_checks) >= 2


def test_sleeping_pod_does_not_check_for_a_leader_while_no_step_is_claimed() -> None:
    driver = asleep()
    driver.live(3_600, asleep=True)
    assert driver.leader_checks == []


def test_pod_with_running_steps_stays_awake() -> None:
    driver = Sleeper(sleep_after=60.0)
    driver.sync_once("a")
    driver.live(600, asleep=False)
    driver.finish("a")
    driver.live(59, asleep=False)
    driver.live(7, asleep=True)


def test_sleeping_pod_wakes_at_once_when_work_arrives() -> None:
    driver = asleep()
    driver.machine.work_arrived()
    assert isinstance(driver.sync().pod_command, SendHeartbeat)


def test_sleeping_pod_that_is_drained_leaves() -> None:
    driver = asleep()
    driver.machine.drain(driver.now)
    request = driver.sync_once()
    assert request.pod_command == Leave("pod", request.incarnation)
    assert driver.plan().gone


def test_sleeping_pod_whose_incarnation_ended_joins_and_claims() -> None:
    driver = asleep()
    assert isinstance(request_after_change(driver).pod_command, SendHeartbeat)
    driver.machine.on_incarnation_ended()
    request = driver.sync()
    assert (type(request.pod_command), request.claim) == (Join, 6)


def test_leader_check_that_was_not_answered_is_retried() -> None:
    driver = Sleeper(sleep_after=60.0, dead_pod_threshold=60.0)
    driver.live(62, asleep=True, any_claimed=True)
    while not (plan := driver.plan()).check_leader:
        driver.carry_out(plan)
        driver.now = max(driver.now, plan.next_at)
    driver.wait(driver.machine.on_store_unavailable(driver.now))
    assert driver.plan().check_leader


def test_sleeping_pod_may_not_claim() -> None:
    sleeper = live_pod(Join("pod", "one"), Sleep("pod", "one"))
    with pytest.raises(IllegalTransition, match="asleep"):
        check_may_claim(sleeper, "pod", "one")
    check_may_claim(live_pod(SendHeartbeat("pod", "one"), pod=sleeper), "pod", "one")
    with pytest.raises(IncarnationEnded):
        check_may_claim(live_pod(Leave("pod", "one"), pod=sleeper), "pod", "one")


def test_sleepers_of_a_large_fleet_spread_their_waking_and_draw_its_time_once() -> None:
    chances = iter([0.9, 0.1])
    driver = Driver(traits=StoreTraits(writes_are_billed=True), chance=lambda: next(chances, 0.1))
    pods = tuple(Pod(f"pod-{n}", "asleep", 0, 0, f"i-{n}") for n in range(50))
    driver.machine.silent(PodList(AT, pods), driver.now)
    driver.machine._member.phase = "asleep"
    idle = driver.machine._idle
    driver.machine.on_change_counter(1, driver.now)
    for counter in (2, 3):
        driver.machine.on_change_counter(counter, driver.now)
        assert idle.wake_at == driver.now + 0.9 * CLAIMING_SPREAD * 50


def test_sleeper_of_a_large_fleet_that_was_rejected_draws_a_new_time() -> None:
    driver = Driver(traits=StoreTraits(writes_are_billed=True, most_waiters=20))
    pods = tuple(Pod(f"pod-{n}", "asleep", 0, 0, f"i-{n}") for n in range(50))
    driver.machine.silent(PodList(AT, pods), driver.now)
    driver.machine._member.phase = "asleep"
    driver.machine.on_store_unavailable(driver.now, contended=True)
    assert driver.machine._idle.wake_at == driver.now + 0.5 * CLAIMING_SPREAD * 50


def test_idle_pod_that_is_one_of_many_awake_claims_at_a_time_drawn_once() -> None:
    chances = iter([0.9, 0.1])
    traits = StoreTraits(writes_are_billed=True, combines=True)
    driver = Driver(traits=traits, chance=lambda: next(chances, 0.1))
    driver.machine._claims._timing.next_claim = math.inf
    pods = tuple(Pod(f"pod-{n}", "up", 0, 0, f"i-{n}") for n in range(MANY_PODS + 1))
    driver.machine.silent(PodList(AT, pods), driver.now)
    driver.machine.on_change_counter(1, driver.now)
    for counter in (2, 3):
        driver.machine.on_change_counter(counter, driver.now)
        at = pytest.approx(driver.now + 0.9 * CLAIMING_SPREAD * len(pods))
        assert driver.machine._claims.next_claim == at


@pytest.mark.parametrize(
    ("awake", "interval"), [(10, 10.0), (250, 10.0), (375, 15.0), (1_000, 20.0)]
)
def test_more_pods_send_heartbeats_less_often(awake: int, interval: float) -> None:
    settings = PodSettings(heartbeat_interval=10.0, dead_pod_threshold=60.0)
    member = Membership("pod", settings, lambda: "one")
    member.on_pods(awake, must_watch=False)
    member.on_command_done(Join("pod", "one"), 7.0)
    assert member.next_heartbeat == 7.0 + interval
    member.on_pods(awake, must_watch=True)
    member.on_command_done(SendHeartbeat("pod", "one"), 7.0)
    assert member.next_heartbeat == 17.0
