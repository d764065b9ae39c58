"""Where syncs are slow, finished outcomes linger for others that are about to finish."""

from __future__ import annotations

from tests.core.helpers import Driver


def pod_with_sync_latency(seconds: float, *step_ids: str) -> Driver:
    """A pod that has claimed these steps with a sync of that duration."""
    driver = Driver()
    request = driver.sync()
    driver.wait(seconds)
    driver.answer(request, *step_ids)
    return driver


def test_first_outcome_lingers_a_tenth_of_the_sync_latency() -> None:
    driver = pod_with_sync_latency(1.0, "a", "b", "c")
    driver.finish("a")
    plan = driver.plan()
    assert (plan.request, plan.next_at) == (None, 101.1)
    driver.wait(0.05)
    driver.finish("b")
    assert driver.plan().request is None
    driver.wait(0.06)
    assert [outcome.step_id for outcome in driver.sync().outcomes] == ["a", "b"]


def test_outcomes_do_not_linger_when_no_function_runs() -> None:
    driver = pod_with_sync_latency(1.0, "a", "b")
    driver.finish("a")
    assert driver.plan().request is None
    driver.finish("b")
    assert len(driver.sync().outcomes) == 2


def test_heartbeat_does_not_linger_and_carries_the_outcomes() -> None:
    driver = pod_with_sync_latency(1.0, "a", "b")
    driver.wait(9.99)
    driver.finish("a")
    assert driver.plan().request is None
    driver.wait(0.01)
    request = driver.sync()
    assert request.pod_command is not None
    assert len(request.outcomes) == 1


def test_outcomes_do_not_linger_where_syncs_take_no_time() -> None:
    driver = pod_with_sync_latency(0.0, "a", "b")
    driver.finish("a")
    assert len(driver.sync().outcomes) == 1
