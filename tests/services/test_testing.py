"""``fleet_q.testing``: the tests of an application that uses FLEET-Q."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, date, datetime
from pathlib import Path
from unittest.mock import ANY

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from fleet_q import FleetQ, HookEvent, InvalidInput, Settings, Snooze, create_http, current_step
from fleet_q.testing import Fleet, PodKilled, fixture, isolated

app = FleetQ("sqlite:////nowhere/jobs.db", settings=Settings(queues=("orders",)))
"""The app of a user, whose store does not exist."""

sent: list[str] = []
fails_until: dict[str, int] = {}


@app.task("send", max_retries=3)
def send(to: str, cc: str | None = None, on: date | None = None) -> str:
    if current_step().attempt <= fails_until.get(to, 0):
        raise ConnectionError(f"attempt {current_step().attempt}")
    sent.append(to)
    return f"sent to {to}"


@app.task("send later")
async def send_later(to: str) -> str:
    await asyncio.sleep(0)
    return send.submit(to=to)


@app.task("poll")
def poll() -> int:
    if current_step().attempt == 1 and not sent:
        sent.append("first")
        raise Snooze(3_600)  # once
    return 1


@app.schedule("0 * * * *", name="hourly")
@app.task("report", max_retries=0)
def report() -> None:
    sent.append("report")


fleet = fixture(app, at="2026-11-28T20:30:00Z")


@pytest.fixture(autouse=True)
def _nothing_was_sent() -> None:
    sent.clear()
    fails_until.clear()


def test_submitted_step_runs_when_the_test_drains(fleet: Fleet) -> None:
    step_id = send.submit(to="ann@example.org")
    assert sent == []
    (step,) = fleet.drain()
    assert (step.step_id, step.status) == (step_id, "completed")
    assert send.result(step_id) == "sent to ann@example.org"


def test_clock_moves_to_the_time_of_each_retry(fleet: Fleet) -> None:
    fails_until["ann"] = 3
    step_id = send.submit(to="ann")
    fleet.drain()
    seconds = (fleet.now - datetime(2026, 11, 28, 20, 30, tzinfo=UTC)).total_seconds()
    assert 5 + 10 + 20 <= seconds <= 10 + 20 + 40
    assert app.status(step_id).status == "completed"
    retried = [event.type for event in app.history(step_id)].count("retried")
    assert retried == 3


def test_step_whose_tries_are_used_up_is_a_dead_letter_with_its_traceback(fleet: Fleet) -> None:
    fails_until["ann"] = 9
    send.submit(to="ann")
    fleet.drain()
    (step,) = fleet.dead_letters()
    assert step.error == "ConnectionError: attempt 4"
    with pytest.raises(AssertionError, match="in send\n"):
        fleet.assert_no_dead_letters()


def test_snoozed_step_runs_again_when_its_time_has_passed(fleet: Fleet) -> None:
    app.submit({"task_type": "poll"})
    assert [step.task_type for step in fleet.advance("59m")] == ["report"]
    (step,) = fleet.advance("1m")
    assert (step.status, step.snoozes) == ("completed", 1)


def test_schedules_fire_at_each_time_that_passes(fleet: Fleet) -> None:
    ended = fleet.drain(until="2026-11-29T06:30:00Z")
    assert [step.step_id for step in ended][::9] == [
        "hourly@2026-11-28T21:00:00Z",
        "hourly@2026-11-29T06:00:00Z",
    ]
    assert sent == ["report"] * 10
    assert fleet.now == datetime(2026, 11, 29, 6, 30, tzinfo=UTC)


def test_drain_ends_although_schedules_would_fire_for_ever(fleet: Fleet) -> None:
    send.options(delay=2 * 3_600).submit(to="ann")
    fleet.drain()
    assert sent == ["report", "report", "ann"]


def test_step_that_is_not_begun_in_time_expires(fleet: Fleet) -> None:
    app.queues.pause("slow")
    step_id = send.options(queue="slow", start_by=600).submit(to="ann")
    fleet.advance("9m")
    assert app.status(step_id).status == "pending"
    fleet.advance("2m")
    assert app.status(step_id).status == "cancelled"


def test_steps_of_a_queue_with_a_rate_run_as_the_clock_allows(fleet: Fleet) -> None:
    app.queues.set("slow", rate="1/min")
    send.options(queue="slow").submit_many([{"to": str(n)} for n in range(3)])
    fleet.drain()
    assert sent == ["0", "1", "2"]
    assert fleet.now == datetime(2026, 11, 28, 20, 32, tzinfo=UTC)


def test_workflow_runs_in_the_order_of_its_steps(fleet: Fleet) -> None:
    flow = app.workflow("two")
    flow.chain(send.step(to="first"), send.step(to="second"))
    assert app.workflows.wait(flow.submit()) == "completed"
    assert sent == ["first", "second"]


def test_waiting_for_a_step_runs_it_and_no_later_one(fleet: Fleet) -> None:
    send.options(delay=60).submit(to="later")
    assert send.result(send.submit(to="now"), timeout=5) == "sent to now"
    with pytest.raises(TimeoutError):
        app.wait(send.options(delay=60).submit(to="later"), timeout=5)
    assert sent == ["now"]


def test_inline_step_has_run_when_submit_returns(fleet: Fleet) -> None:
    with fleet.inline():
        step_id = send_later.submit(to="ann")
        assert sent == ["ann"]
        assert app.status(send_later.result(step_id)).status == "completed"
    send.submit(to="bob")
    assert sent == ["ann"]


def test_inline_step_that_fails_waits_for_its_retry_on_the_clock(fleet: Fleet) -> None:
    fails_until["ann"] = 1
    with fleet.inline():
        step_id = send.submit(to="ann")
        assert app.status(step_id).status == "pending"
        fleet.advance("1m")
        assert sent == ["ann"]


def test_inline_steps_run_within_a_running_event_loop(fleet: Fleet) -> None:
    async def main() -> str:
        with fleet.inline():
            return await asyncio.to_thread(send.result, send.submit(to="ann"))

    assert asyncio.run(main()) == "sent to ann"


def test_async_functions_run_on_the_loop_of_an_async_test(fleet: Fleet) -> None:
    own = FleetQ("memory://")
    loops = []

    @own.task("loop")
    async def loop() -> None:
        loops.append(asyncio.get_running_loop())

    async def main() -> bool:
        with isolated(own) as fleet:
            loop.submit()
            await fleet.drain_async()
            return loops == [asyncio.get_running_loop()]

    assert asyncio.run(main())


def test_service_with_a_pod_in_its_lifespan_is_tested_over_http(fleet: Fleet) -> None:
    @contextlib.asynccontextmanager
    async def lifespan(service: FastAPI):  # type: ignore[no-untyped-def]
        async with app.running():
            yield

    service = FastAPI(lifespan=lifespan)
    service.mount("/queue", create_http(app))

    @service.post("/orders")
    async def order(to: str) -> str:
        return send_later.submit(to=to)

    with TestClient(service) as client, fleet.inline():
        step_id = client.post("/orders", params={"to": "ann"}).json()
        assert sent == ["ann"]
        assert client.get(f"/queue/status/{step_id}").json()["status"] == "completed"
        assert client.get("/queue/health").json()["status"] == "ok"


def test_steps_of_many_threads_all_run_inline(fleet: Fleet) -> None:
    def submit(number: int) -> None:
        for n in range(20):
            send.submit(to=f"{number}/{n}")

    with fleet.inline():
        threads = [threading.Thread(target=submit, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(set(sent)) == len(sent) == 80


def test_assert_submitted_returns_the_step_with_these_arguments(fleet: Fleet) -> None:
    send.options(priority=3).submit(to="ann", on=date(2026, 11, 28))
    step = fleet.assert_submitted(send, to="ann", on=date(2026, 11, 28), cc=None)
    assert step.priority == 3
    fleet.assert_submitted("send", to=ANY)
    fleet.refute_submitted(send, to="bob")
    with pytest.raises(TypeError, match="too"):
        fleet.refute_submitted(send, too="ann")


def test_failed_assertion_shows_what_was_submitted_instead(fleet: Fleet) -> None:
    with pytest.raises(AssertionError, match="nothing was submitted"):
        fleet.assert_submitted(send, to="ann")
    send.submit(to="bob")
    fleet.drain()
    with pytest.raises(AssertionError) as failed:
        fleet.assert_submitted(send, to="ann")
    assert str(failed.value) == (
        "no step send(to='ann') was submitted; submitted were\n  send(to='bob')  completed"
    )
    with pytest.raises(AssertionError, match=r"a step send\(to='bob'\) was submitted"):
        fleet.refute_submitted(send, to="bob")


def test_outcome_of_pytest_in_a_function_reaches_the_test(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "fails_until", None)
    send.submit(to="ann")
    fleet.drain()
    assert "NoneType" in str(fleet.dead_letters()[0].error)

    class Called:
        def get(self, *_: object) -> int:
            pytest.fail("must not be called")

    monkeypatch.setattr(sys.modules[__name__], "fails_until", Called())
    send.submit(to="bob")
    with pytest.raises(pytest.fail.Exception, match="must not be called"):
        fleet.drain()


def test_step_that_submits_itself_for_ever_ends_the_drain_with_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fleet_q.services.testing.pod.MOST_ATTEMPTS", 50)
    endless = FleetQ("memory://")

    @endless.task("again")
    def again() -> None:
        again.submit()

    with isolated(endless) as fleet:
        again.submit()
        with pytest.raises(InvalidInput, match="50 attempts"):
            fleet.drain()


def test_hooks_have_been_called_and_their_steps_have_run_when_drain_returns() -> None:
    hooked = FleetQ("memory://")
    told = []

    @hooked.task("break", max_retries=0)
    def break_() -> None:
        raise ValueError("broken")

    @hooked.task("tell")
    def tell(error: str) -> None:
        told.append(error)

    @hooked.on("dead_letter")
    def on_dead_letter(event: HookEvent) -> None:
        tell.submit(error=str(event.error))

    with isolated(hooked) as fleet:
        break_.submit()
        fleet.drain()
    assert told == ["ValueError: broken"]


def test_step_of_a_pod_that_was_killed_is_recovered_and_finds_its_checkpoint() -> None:
    killed = FleetQ("memory://")
    done = []

    @killed.task("charge")
    def charge() -> int:
        step = current_step()
        step.once("reserve", lambda: done.append("reserve"))
        if step.attempt == 1:
            raise PodKilled
        done.append("pay")
        return step.attempt

    with isolated(killed) as fleet:
        step_id = charge.submit()
        fleet.drain()
        assert charge.result(step_id) == 2
        types = [event.type for event in killed.history(step_id)]
    assert types == [
        "submitted", "claimed", "checkpointed", "recovered", "claimed", "completed",
    ]  # fmt: skip
    assert done == ["reserve", "pay"]


def test_function_cannot_drain(fleet: Fleet) -> None:
    nested = FleetQ("memory://")

    @nested.task("drain")
    def drain() -> None:
        inner.drain()

    with isolated(nested) as inner:
        drain.submit()
        inner.drain()
        assert "cannot run other steps" in str(inner.dead_letters()[0].error)


def test_step_of_a_transaction_is_stored_at_once(fleet: Fleet) -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        send.options(connection=connection).submit(to="ann")
    fleet.assert_submitted(send, to="ann")


def test_app_gets_its_own_store_back(tmp_path: Path) -> None:
    own = FleetQ(f"sqlite:///{tmp_path}/jobs.db")
    with isolated(own):
        own.submit({"task_type": "x"})
    assert not (tmp_path / "jobs.db").exists()
    step_id = own.submit({"task_type": "x"})
    with isolated(own) as fleet:
        assert fleet.steps() == []
        with pytest.raises(InvalidInput, match="tested already"), isolated(own):
            pass
    assert own.status(step_id).status == "pending"
    own.close()


def test_import_needs_no_pytest() -> None:
    code = "import sys, fleet_q.testing; sys.exit('pytest' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
