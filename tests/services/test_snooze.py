"""Functions that put their steps off: no try is used up, and a setting bounds how often."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from fleet_q import FleetQ, InvalidInput, Snooze, current_step, with_backoff
from fleet_q.core.errors import StepNotCompleted
from fleet_q.core.events import Snoozed
from fleet_q.services.worker.loop_thread import LoopThread
from tests.services import module_with_processes as module
from tests.services.conftest import QUICK, Command, Run
from tests.waiting import LIMIT, wait_until


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_snoozed_step_runs_again_and_uses_up_no_try(app: FleetQ, run: Run, kind: str) -> None:
    attempts: list[int] = []

    def plain() -> str:
        attempts.append(current_step().attempt)
        if len(attempts) < 4:
            raise Snooze(0.001)
        return "done"

    async def on_the_loop() -> str:
        return plain()

    task = app.task("t", max_retries=0)(plain if kind == "plain" else on_the_loop)
    (step,) = run(task.submit())
    assert (step.status, step.result, step.retry_count, step.snoozes) == ("completed", "done", 0, 3)
    assert attempts == [1, 1, 1, 1]
    events = [event.type for event in app.history(step.step_id)]
    assert events == ["submitted", *["claimed", "snoozed"] * 3, "claimed", "completed"]


def test_snoozed_step_waits_for_as_long_as_its_function_says(app: FleetQ) -> None:
    @app.task("t")
    def later() -> None:
        raise Snooze(3600)

    step_id = later.submit()
    with LoopThread() as thread, app.running_on(thread.loop):
        wait_until(lambda: app.status(step_id).snoozes == 1)
        step = app.status(step_id)
    assert (step.status, step.error, step.claimed_by) == ("pending", None, None)
    *_, event = app.store.history(step_id)
    assert isinstance(event.fact, Snoozed)
    assert event.fact.available_ts == event.at + 3_600_000_000


@pytest.mark.parametrize("most", [0, 2])
def test_step_that_is_snoozed_too_often_fails_at_once(app: FleetQ, run: Run, most: int) -> None:
    app.use(settings=replace(QUICK, max_snoozes=most))

    @app.task("t")
    def never_ready() -> None:
        raise Snooze(0)

    (step,) = run(never_ready.submit())
    assert (step.status, step.snoozes, step.retry_count) == ("failed", most, 0)
    assert step.error == f"Snooze: put off {most} times before; FLEET_Q_MAX_SNOOZES allows no more"
    app.replay([step.step_id])
    assert app.status(step.step_id).snoozes == 0


@pytest.mark.parametrize("seconds", [-1, "5", float("nan"), 1e12])
def test_snooze_for_invalid_seconds_fails_the_attempt(app: FleetQ, run: Run, seconds: Any) -> None:
    @app.task("t", max_retries=0)
    def wrong() -> None:
        raise Snooze(seconds)

    (step,) = run(wrong.submit())
    assert (step.status, step.snoozes) == ("failed", 0)
    assert (step.error or "").startswith("InvalidInput: seconds must be")


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_subclass_of_snooze_without_seconds_fails_the_attempt(
    app: FleetQ, run: Run, kind: str
) -> None:
    class Odd(Snooze):
        def __init__(self) -> None: ...

    def plain() -> None:
        raise Odd

    async def on_the_loop() -> None:
        raise Odd

    task = app.task("t", max_retries=0)(plain if kind == "plain" else on_the_loop)
    (step,) = run(task.submit())
    assert (step.status, step.snoozes) == ("failed", 0)


def test_snooze_is_no_failure_that_a_policy_gives_up_on(app: FleetQ, run: Run) -> None:
    calls: list[int] = []

    @app.task("t", max_retries=0, retry_on=(), give_up_on=Exception)
    def ready_later() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise Snooze(0)

    (step,) = run(ready_later.submit())
    assert (step.status, step.snoozes) == ("completed", 1)


def test_with_backoff_passes_a_snooze_on(app: FleetQ, run: Run) -> None:
    calls: list[int] = []

    @app.task("t")
    @with_backoff(max_attempts=3, base_delay_ms=0)
    def ready_later() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise Snooze(0)

    (step,) = run(ready_later.submit())
    assert (step.snoozes, len(calls)) == (1, 2)


def test_function_of_a_child_process_puts_its_step_off() -> None:
    module.app.use(settings=replace(QUICK, max_snoozes=2))
    with LoopThread() as thread, module.app.running_on(thread.loop):
        step = module.app.wait(module.app.submit({"task_type": "snooze"}), LIMIT)
    assert (step.status, step.snoozes, step.retry_count) == ("failed", 2, 0)
    assert (step.error or "").startswith("Snooze: put off 2 times")


def test_waiting_for_a_snoozed_step_waits_until_it_has_ended(app: FleetQ) -> None:
    app.use(settings=replace(QUICK, max_snoozes=1))

    @app.task("t")
    def never_ready() -> None:
        raise Snooze(0.001)

    step_id = never_ready.submit()
    with (
        LoopThread() as thread,
        app.running_on(thread.loop),
        pytest.raises(StepNotCompleted, match="put off 1 times before"),
    ):
        never_ready.result(step_id, LIMIT)


def test_status_and_list_show_how_often_a_step_was_snoozed(fleet_q: Command) -> None:
    _, step_id, _ = fleet_q("submit", '{"task_type": "t"}', "--store", "sqlite:///q.db")
    app = FleetQ("sqlite:///q.db", settings=replace(QUICK, pod_id=None))
    with app.consumer() as consumer:
        for _ in range(2):
            (step,) = consumer.claim_steps(wait=LIMIT)
            consumer.snooze_step(step, 0)
    app.close()
    _, out, _ = fleet_q("status", step_id.strip(), "--store", "sqlite:///q.db")
    assert ["snoozes", "2"] in [line.split() for line in out.splitlines()]
    _, out, _ = fleet_q("steps", "list", "--store", "sqlite:///q.db")
    assert "pending (snoozed 2)" in out


def test_snooze_must_be_given_seconds() -> None:
    with pytest.raises(InvalidInput, match="seconds must be a number"):
        Snooze(None)  # type: ignore[arg-type]
