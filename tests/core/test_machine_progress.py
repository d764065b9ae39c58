"""Progress that functions report rides on the syncs that the pod makes anyway."""

from __future__ import annotations

from fleet_q.core.pod import SendHeartbeat
from tests.core.helpers import Driver, up


def report(driver: Driver, step_id: str, progress: str) -> None:
    driver.machine.report_progress(step_id, driver.tokens[step_id], progress)


def test_progress_makes_no_request_of_its_own() -> None:
    driver = up("a")
    next_at = driver.plan().next_at
    report(driver, "a", "1")
    plan = driver.plan()
    assert (plan.request, plan.next_at) == (None, next_at)


def test_heartbeat_takes_the_last_progress_of_each_step_along_once() -> None:
    driver = up("a", "b")
    for step_id, progress in [("a", "1"), ("a", "2"), ("b", "3")]:
        report(driver, step_id, progress)
    driver.wait(driver.settings.heartbeat_interval)
    request = driver.sync_once()
    assert isinstance(request.pod_command, SendHeartbeat)
    reported = sorted((step_id, progress) for step_id, _, progress in request.progress)
    assert reported == [("a", "2"), ("b", "3")]
    driver.wait(driver.settings.heartbeat_interval)
    assert driver.sync_once().progress == ()


def test_outcomes_take_the_progress_of_other_steps_along() -> None:
    driver = up("a", "b")
    report(driver, "b", "1")
    driver.finish("a")
    assert driver.sync().progress == ((*driver.claims("b")[0], "1"),)


def test_request_that_is_repeated_has_the_same_progress() -> None:
    driver = up("a")
    report(driver, "a", "1")
    driver.wait(driver.settings.heartbeat_interval)
    request = driver.sync()
    driver.wait(driver.machine.on_store_unavailable(driver.now))
    assert driver.sync().progress == request.progress


def test_progress_of_a_request_without_room_is_sent_later() -> None:
    driver = up("a")
    report(driver, "a", "1")
    driver.wait(driver.settings.heartbeat_interval)
    driver.sync()
    report(driver, "a", "2")
    driver.wait(driver.machine.on_store_unavailable(driver.now, contended=True))
    assert [progress for *_, progress in driver.sync().progress] == ["2"]
