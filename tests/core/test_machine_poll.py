"""Where a look at the bell costs nothing, an idle pod need not wait for its claim interval."""

from __future__ import annotations

from fleet_q.core.ports import StoreTraits
from tests.core.helpers import Pilot, up

WATCHED = StoreTraits(poll_interval=0.01)


def idle() -> Pilot:
    """An idle pod that has listened once."""
    pilot = Pilot(traits=WATCHED)
    pilot.take_turn()
    assert pilot.plan().poll
    pilot.machine.on_change_counter(1, pilot.now)
    return pilot


def test_an_idle_pod_listens_again_and_again() -> None:
    pilot = idle()
    assert pilot.plan().next_at == 100.01
    pilot.wait(0.01)
    plan = pilot.plan()
    assert (plan.poll, plan.request) == (True, None)


def test_a_bell_that_has_rung_is_a_reason_to_claim_at_once() -> None:
    pilot = idle()
    pilot.machine.on_change_counter(1, pilot.now)
    assert pilot.plan().request is None
    pilot.machine.on_change_counter(2, pilot.now)
    assert pilot.sync().claim == 6


def test_the_claim_interval_holds_if_the_bell_is_silent() -> None:
    pilot = idle()
    pilot.wait(4.9)
    pilot.machine.on_change_counter(1, pilot.now)
    assert pilot.plan().request is None
    pilot.wait(0.1)
    assert pilot.sync().claim == 6


def test_a_full_pod_does_not_listen() -> None:
    pilot = up(*"abcdef", traits=WATCHED)
    pilot.wait(1)
    assert not pilot.plan().poll


def test_a_store_without_a_cheap_bell_is_not_asked() -> None:
    pilot = up()
    pilot.wait(1)
    assert not pilot.plan().poll
