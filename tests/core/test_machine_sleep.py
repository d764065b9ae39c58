"""Where every write costs money, a pod without work falls asleep; and it wakes up in time."""

from __future__ import annotations

from typing import Any

import pytest

from fleet_q.core.errors import IncarnationEnded
from fleet_q.core.pod import Drain, Join, Leave, Pod, SendHeartbeat, Sleep
from fleet_q.core.ports import PodList, StoreTraits, SyncRequest
from fleet_q.core.worker.pacing import LONGEST_JITTER
from fleet_q.core.worker.plan import Plan
from tests.core.helpers import AT, Pilot, live_pod

SECOND = 1_000_000


class Sleeper(Pilot):
    """A pod on a dear store, whose bell says how often it has rung, and whose fleet may be led."""

    def __init__(self, *, writes_are_billed: bool = True, **settings: Any) -> None:
        super().__init__(traits=StoreTraits(writes_are_billed=writes_are_billed), **settings)
        self.change_counter = 7
        self.is_deaf = False
        self.leaders: tuple[Pod, ...] = ()
        self.looked_at: list[float] = []
        self.said: list[type] = []
        self.claimed_at: list[float] = []

    def live(self, seconds: float, *, asleep: bool | None = None, **answer: Any) -> None:
        """Let time pass, and do whatever is due; a store with nothing to claim answers."""
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
        if plan.poll and self.is_deaf:
            self.machine.on_store_unavailable(self.now)
        elif plan.poll:
            self.machine.on_change_counter(self.change_counter, self.now)
        if plan.check_leader:
            self.looked_at.append(self.now)
            self.machine.on_pods(PodList(AT, self.leaders), self.now)
        if plan.request is not None:
            if plan.request.only_if_claimable:
                answer = {"done": False, **answer}
            self.said.append(type(plan.request.pod_command))
            self.claimed_at += [self.now] if plan.request.claim else []
            self.answer(plan.request, **answer)


def asleep(**settings: Any) -> Sleeper:
    pilot = Sleeper(sleep_after=60.0, **settings)
    pilot.live(61, asleep=True)
    pilot.said.clear()
    return pilot


def rung(pilot: Sleeper) -> SyncRequest:
    """The turn that a bell leads to, within a claim interval."""
    pilot.change_counter += 1
    until = pilot.now + 5
    while (plan := pilot.plan()).request is None:
        pilot.carry_out(plan)
        pilot.now = max(pilot.now, pilot.plan().next_at)
    assert pilot.now <= until
    return plan.request


def test_a_pod_without_work_falls_asleep() -> None:
    pilot = Sleeper(sleep_after=60.0)
    pilot.live(59, asleep=False)
    pilot.live(1, asleep=True)
    assert pilot.said[-1] is Sleep


def test_an_idle_pod_claims_only_when_the_bell_has_rung() -> None:
    pilot = Sleeper(sleep_after=600.0, claim_interval=5.0)
    pilot.live(30)
    assert pilot.claimed_at == [100.0]
    pilot.change_counter += 1
    pilot.live(30)
    assert pilot.claimed_at == [100.0, 135.0]


def test_what_it_ends_itself_may_not_ring_for_it() -> None:
    pilot = Sleeper(claim_interval=5.0)
    pilot.take_turn("a")
    pilot.live(100)
    pilot.claimed_at.clear()
    pilot.finish("a")
    pilot.live(20)
    assert pilot.claimed_at == [205.0]


def test_while_it_has_not_heard_the_bell_it_claims_as_if_there_were_none() -> None:
    pilot = Sleeper(claim_interval=5.0)
    pilot.is_deaf = True
    pilot.live(60)
    assert len(pilot.claimed_at) > 5


def test_a_cheap_store_lets_nobody_sleep() -> None:
    pilot = Sleeper(writes_are_billed=False, sleep_after=60.0)
    pilot.live(600, asleep=False)


def test_who_sleeps_only_listens() -> None:
    pilot = asleep(claim_interval=5.0)
    began = pilot.now
    listened = 0
    while pilot.now < began + 3_600:
        plan = pilot.plan()
        assert plan.request is None
        assert not plan.recover
        listened += plan.poll
        pilot.carry_out(plan)
        pilot.now = max(pilot.now, pilot.plan().next_at)
    assert listened == pytest.approx(720, abs=2)


def test_the_bell_wakes_if_there_is_a_step_to_claim() -> None:
    pilot = asleep(claim_interval=5.0)
    request = rung(pilot)
    assert (request.pod_command, request.claim, request.only_if_claimable) == (
        SendHeartbeat("pod", request.incarnation),
        6,
        True,
    )
    assert pilot.answer(request, "a") == ["a"]
    assert pilot.machine.phase == "up"
    pilot.wait(10)
    assert pilot.sync().pod_command == SendHeartbeat("pod", request.incarnation)


def test_the_bell_does_not_wake_who_finds_nothing() -> None:
    pilot = asleep(claim_interval=5.0)
    pilot.answer(rung(pilot), done=False)
    pilot.live(3_600, asleep=True)
    assert pilot.said == []


def test_who_wakes_and_then_finds_nothing_falls_asleep_again() -> None:
    pilot = asleep(claim_interval=5.0)
    pilot.answer(rung(pilot))
    pilot.live(59, asleep=False)
    pilot.live(2, asleep=True)


def test_a_wake_whose_answer_was_lost_is_asked_for_again() -> None:
    pilot = asleep(claim_interval=5.0)
    request = rung(pilot)
    pilot.wait(pilot.machine.on_store_unavailable(pilot.now))
    again = pilot.sync()
    assert (again.claim_token, again.is_retry) == (request.claim_token, True)
    pilot.answer(again, "a")
    assert pilot.machine.phase == "up"


def test_a_bell_that_rings_after_the_last_claim_is_not_slept_through() -> None:
    pilot = Sleeper(sleep_after=60.0)
    pilot.live(58)
    while not isinstance((plan := pilot.plan()).request and plan.request.pod_command, Sleep):
        pilot.carry_out(plan)
        if plan.request is None and not plan.poll:
            pilot.now = plan.next_at
    pilot.change_counter += 1  # somebody submits while the pod says good night
    pilot.carry_out(plan)
    pilot.live(5.1, asleep=False, done=True)


def test_nor_is_one_that_the_pod_wanted_to_come_late_for() -> None:
    pilot = Sleeper(sleep_after=60.0)
    pilot.live(50)
    request = rung(pilot)
    pilot.wait(5)  # for others, at a lock
    pilot.answer(request)
    while not isinstance((plan := pilot.plan()).request and plan.request.pod_command, Sleep):
        pilot.carry_out(plan)
        if plan.request is None and not plan.poll:
            pilot.now = plan.next_at
    pilot.change_counter += 1
    pilot.carry_out(plan)
    pilot.live(5.1 + LONGEST_JITTER, asleep=False, done=True)


def test_a_delayed_step_wakes_in_time() -> None:
    pilot = Sleeper(sleep_after=60.0)
    pilot.live(65, asleep=True, next_due=AT + 100 * SECOND)
    pilot.live(34, asleep=True)
    pilot.live(1, asleep=False, next_due=None, done=True)
    assert pilot.said[-1] is SendHeartbeat


def test_nobody_falls_asleep_just_before_a_step_falls_due() -> None:
    pilot = Sleeper(sleep_after=60.0)
    pilot.live(120, asleep=False, next_due=AT + 3 * SECOND, done=True)
    assert Sleep not in pilot.said


def test_while_something_is_held_a_sleeper_sees_to_it_that_the_fleet_is_led() -> None:
    pilot = Sleeper(sleep_after=60.0, dead_pod_threshold=60.0)
    pilot.leaders = (live_pod(Join("another", "one")),)
    pilot.live(62, asleep=True, any_claimed=True)
    pilot.live(179, asleep=True)
    assert len(pilot.looked_at) == 3


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
def test_while_something_is_held_and_nobody_leads_a_sleeper_wakes_to_do_so(
    others: list[Pod],
) -> None:
    pilot = Sleeper(sleep_after=60.0, dead_pod_threshold=60.0)
    pilot.leaders = tuple(others)
    pilot.live(62, asleep=True, any_claimed=True)
    pilot.live(61, asleep=False, any_claimed=True)
    assert pilot.said[-1] is SendHeartbeat


def test_while_nothing_is_held_a_sleeper_looks_after_nobody() -> None:
    pilot = asleep()
    pilot.live(3_600, asleep=True)
    assert pilot.looked_at == []


def test_work_keeps_awake() -> None:
    pilot = Sleeper(sleep_after=60.0)
    pilot.take_turn("a")
    pilot.live(600, asleep=False)
    pilot.finish("a")
    pilot.live(59, asleep=False)
    pilot.live(7, asleep=True)


def test_a_step_submitted_here_wakes_at_once() -> None:
    pilot = asleep()
    pilot.machine.work_arrived()
    assert isinstance(pilot.sync().pod_command, SendHeartbeat)


def test_a_sleeper_that_is_told_to_stop_leaves() -> None:
    pilot = asleep()
    pilot.machine.drain(pilot.now)
    request = pilot.take_turn()
    assert request.pod_command == Leave("pod", request.incarnation)
    assert pilot.plan().gone


def test_a_sleeper_whose_incarnation_ended_joins_again_and_does_not_forget_why_it_was_called() -> (
    None
):
    pilot = asleep()
    assert isinstance(rung(pilot).pod_command, SendHeartbeat)
    pilot.machine.on_incarnation_ended()
    request = pilot.sync()
    assert (type(request.pod_command), request.claim) == (Join, 6)


def test_a_look_that_was_not_answered_is_soon_done_again() -> None:
    pilot = Sleeper(sleep_after=60.0, dead_pod_threshold=60.0)
    pilot.live(62, asleep=True, any_claimed=True)
    while not (plan := pilot.plan()).check_leader:
        pilot.carry_out(plan)
        pilot.now = max(pilot.now, plan.next_at)
    pilot.wait(pilot.machine.on_store_unavailable(pilot.now))
    assert pilot.plan().check_leader


def test_who_sleeps_may_not_claim() -> None:
    from fleet_q.core.errors import IllegalTransition
    from fleet_q.core.pod import check_may_claim
    from tests.core.helpers import live_pod

    sleeper = live_pod(Join("pod", "one"), Sleep("pod", "one"))
    with pytest.raises(IllegalTransition, match="asleep"):
        check_may_claim(sleeper, "pod", "one")
    check_may_claim(live_pod(SendHeartbeat("pod", "one"), pod=sleeper), "pod", "one")
    with pytest.raises(IncarnationEnded):
        check_may_claim(live_pod(Leave("pod", "one"), pod=sleeper), "pod", "one")
