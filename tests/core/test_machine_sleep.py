"""Where every write costs money, a pod without work falls asleep; and it wakes up in time."""

from __future__ import annotations

from typing import Any

import pytest

from fleet_q.core.errors import IncarnationEnded
from fleet_q.core.machine import Plan
from fleet_q.core.pod import Beat, Join, Leave, Sleep
from fleet_q.core.ports import Manners
from tests.core.helpers import AT, Pilot

SECOND = 1_000_000


class Sleeper(Pilot):
    """A pod on a dear store, whose bell says how often it has rung."""

    def __init__(self, *, dear: bool = True, **settings: Any) -> None:
        super().__init__(manners=Manners(dear=dear), **settings)
        self.bell = 7
        self.is_deaf = False
        self.said: list[type] = []
        self.claimed_at: list[float] = []

    def live(self, seconds: float, *, asleep: bool | None = None, **answer: Any) -> None:
        """Let time pass, and do whatever is due; a store with nothing to claim answers."""
        until = self.now + seconds
        while True:
            plan = self.plan()
            self.carry_out(plan, **answer)
            if plan.turn is None and not plan.listen:
                if plan.look_again > until:
                    break
                self.now = plan.look_again
        self.now = until
        if asleep is not None:
            assert (self.machine.phase == "asleep") is asleep

    def carry_out(self, plan: Plan, **answer: Any) -> None:
        if plan.listen and self.is_deaf:
            self.machine.unanswered(self.now)
        elif plan.listen:
            self.machine.heard(self.bell, self.now)
        if plan.turn is not None:
            self.said.append(type(plan.turn.presence))
            self.claimed_at += [self.now] if plan.turn.claim else []
            self.answer(plan.turn, **answer)


def asleep(**settings: Any) -> Sleeper:
    pilot = Sleeper(sleep_after=60.0, **settings)
    pilot.live(61, asleep=True)
    pilot.said.clear()
    return pilot


def test_a_pod_without_work_falls_asleep() -> None:
    pilot = Sleeper(sleep_after=60.0)
    pilot.live(59, asleep=False)
    pilot.live(1, asleep=True)
    assert pilot.said[-1] is Sleep


def test_an_idle_pod_claims_only_when_the_bell_has_rung() -> None:
    pilot = Sleeper(sleep_after=600.0, claim_interval=5.0)
    pilot.live(30)
    assert pilot.claimed_at == [100.0]
    pilot.bell += 1
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
    pilot = Sleeper(dear=False, sleep_after=60.0)
    pilot.live(600, asleep=False)


def test_who_sleeps_only_listens() -> None:
    pilot = asleep(claim_interval=5.0)
    began = pilot.now
    listened = 0
    while pilot.now < began + 3_600:
        plan = pilot.plan()
        assert plan.turn is None
        assert not plan.recover
        listened += plan.listen
        pilot.carry_out(plan)
        pilot.now = max(pilot.now, pilot.plan().look_again)
    assert listened == pytest.approx(720, abs=2)


def test_the_bell_wakes_within_a_claim_interval_to_a_heartbeat_and_a_claim() -> None:
    pilot = asleep(claim_interval=5.0)
    pilot.bell += 1
    rung = pilot.now
    while pilot.machine.phase == "asleep":
        pilot.carry_out(pilot.plan())
        if pilot.machine.phase == "asleep":
            pilot.now = pilot.plan().look_again
    assert pilot.now <= rung + 5
    turn = pilot.turn()
    assert (turn.presence, turn.claim) == (Beat("pod", turn.incarnation), 6)


def test_a_bell_that_rings_after_the_last_claim_is_not_slept_through() -> None:
    pilot = Sleeper(sleep_after=60.0)
    pilot.live(58)
    while not isinstance((plan := pilot.plan()).turn and plan.turn.presence, Sleep):
        pilot.carry_out(plan)
        if plan.turn is None and not plan.listen:
            pilot.now = plan.look_again
    pilot.bell += 1  # somebody submits while the pod says good night
    pilot.carry_out(plan)
    pilot.live(5.1, asleep=False)


def test_a_delayed_step_wakes_in_time() -> None:
    pilot = Sleeper(sleep_after=60.0)
    pilot.live(65, asleep=True, next_due=AT + 100 * SECOND)
    pilot.live(34, asleep=True)
    pilot.live(1, asleep=False, next_due=None)
    assert pilot.said[-1] is Beat


def test_nobody_falls_asleep_just_before_a_step_falls_due() -> None:
    pilot = Sleeper(sleep_after=60.0)
    pilot.live(120, asleep=False, next_due=AT + 3 * SECOND)


def test_while_something_is_held_a_sleeper_comes_to_look_after_it() -> None:
    pilot = Sleeper(sleep_after=60.0, dead_pod_threshold=60.0)
    pilot.live(62, asleep=True, held=True)
    pilot.live(61, asleep=False, held=True)
    assert pilot.plan().look_again < float("inf")


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
    assert isinstance(pilot.turn().presence, Beat)


def test_a_sleeper_that_is_told_to_stop_leaves() -> None:
    pilot = asleep()
    pilot.machine.drain(pilot.now)
    turn = pilot.take_turn()
    assert turn.presence == Leave("pod", turn.incarnation)
    assert pilot.plan().gone


def test_a_sleeper_whose_incarnation_ended_joins_again() -> None:
    pilot = asleep()
    pilot.machine.work_arrived()
    assert isinstance(pilot.turn().presence, Beat)
    pilot.machine.ended()
    assert isinstance(pilot.turn().presence, Join)


def test_who_sleeps_may_not_claim() -> None:
    from fleet_q.core.errors import IllegalTransition
    from fleet_q.core.pod import check_may_claim
    from tests.core.helpers import live_pod

    sleeper = live_pod(Join("pod", "one"), Sleep("pod", "one"))
    with pytest.raises(IllegalTransition, match="asleep"):
        check_may_claim(sleeper, "pod", "one")
    check_may_claim(live_pod(Beat("pod", "one"), pod=sleeper), "pod", "one")
    with pytest.raises(IncarnationEnded):
        check_may_claim(live_pod(Leave("pod", "one"), pod=sleeper), "pod", "one")
