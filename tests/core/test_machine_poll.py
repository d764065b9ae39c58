"""Where polling is cheap, an idle pod claims before its claim interval has passed."""

from __future__ import annotations

from fleet_q.core.ports import StoreTraits
from tests.core.helpers import Driver, up

POLLED = StoreTraits(poll_interval=0.01)


def idle() -> Driver:
    """An idle pod that has polled once."""
    driver = Driver(traits=POLLED)
    driver.sync_once()
    assert driver.plan().poll
    driver.machine.on_change_counter(1, driver.now)
    return driver


def test_idle_pod_polls_every_poll_interval() -> None:
    driver = idle()
    assert driver.plan().next_at == 100.01
    driver.wait(0.01)
    plan = driver.plan()
    assert (plan.poll, plan.request) == (True, None)


def test_pod_claims_at_once_when_the_change_counter_has_changed() -> None:
    driver = idle()
    driver.machine.on_change_counter(1, driver.now)
    assert driver.plan().request is None
    driver.machine.on_change_counter(2, driver.now)
    assert driver.sync().claim == 6


def test_pod_claims_at_the_claim_interval_if_the_change_counter_is_unchanged() -> None:
    driver = idle()
    driver.wait(4.9)
    driver.machine.on_change_counter(1, driver.now)
    assert driver.plan().request is None
    driver.wait(0.1)
    assert driver.sync().claim == 6


def test_full_pod_does_not_poll() -> None:
    driver = up(*"abcdef", traits=POLLED)
    driver.wait(1)
    assert not driver.plan().poll


def test_pod_does_not_poll_a_store_without_a_poll_interval() -> None:
    driver = up()
    driver.wait(1)
    assert not driver.plan().poll
