"""Hooks: functions of an app that are called when something has happened to a step."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import Any

import pytest

from fleet_q import FleetQ, HookEvent, InvalidInput, Snooze, current_step
from fleet_q.core.errors import UnknownToThisVersion
from fleet_q.core.pod import Join, Leave
from fleet_q.core.ports import SyncRequest
from fleet_q.core.step import Submit
from fleet_q.services.worker import hook_thread
from tests.services.conftest import QUICK, Run
from tests.waiting import LIMIT, wait_until, wait_until_async


def test_hooks_are_told_of_every_attempt_in_order(app: FleetQ, run: Run) -> None:
    events: list[HookEvent] = []
    calls: list[int] = []
    app.on("claimed", "completed", "retried", "failed", "snoozed", "dead_letter")(events.append)

    @app.task("work", max_retries=1)
    def work() -> str:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("not yet")
        if len(calls) == 2:
            raise Snooze(0)
        return "done"

    @app.task("hopeless", max_retries=0)
    async def hopeless() -> None:
        raise KeyError("gone")

    run(work.submit())
    assert [(e.name, e.step.status, e.attempt) for e in events] == [
        ("claimed", "claimed", 1),
        ("retried", "pending", 1),
        ("claimed", "claimed", 2),
        ("snoozed", "pending", 2),
        ("claimed", "claimed", 2),
        ("completed", "completed", 2),
    ]
    _, retried, *_, completed = events
    assert retried.error == "ValueError: not yet"
    assert isinstance(retried.exception, ValueError)
    assert 'raise ValueError("not yet")' in (retried.traceback or "")
    assert (completed.step.result, completed.error, completed.pod_id) == ("done", None, "pod-1")
    assert completed.duration is not None
    events.clear()
    run(hopeless.submit())
    assert [e.name for e in events] == ["claimed", "failed", "dead_letter"]
    assert isinstance(events[1].exception, KeyError)


def test_async_hook_runs_on_the_event_loop_of_the_pod(app: FleetQ) -> None:
    loops = []

    @app.on("completed")
    async def completed(event: HookEvent) -> None:
        await asyncio.sleep(0)
        loops.append((asyncio.get_running_loop(), threading.current_thread().name))

    @app.task("work")
    def work() -> None: ...

    async def main() -> None:
        async with app.running():
            work.submit()
            await wait_until_async(lambda: loops)
            assert loops == [(asyncio.get_running_loop(), threading.current_thread().name)]

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_hook_that_raises_or_exits_harms_no_other(
    app: FleetQ, run: Run, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    seen = []

    async def coroutine(event: HookEvent) -> None:
        raise SystemExit(3)

    def plain(event: HookEvent) -> None:
        raise KeyboardInterrupt

    app.on("completed")(coroutine if kind == "async" else plain)
    app.on("completed")(lambda event: seen.append(event.step.result))

    @app.task("work")
    def work(n: int) -> int:
        return n

    run(*(work.submit(n) for n in range(3)))
    assert sorted(seen) == [0, 1, 2]
    assert "failed for 'completed'" in caplog.text


def test_forked_copy_of_a_hook_ends_in_the_hook(app: FleetQ, run: Run) -> None:
    parents = []

    @app.on("completed")
    def fork(event: HookEvent) -> None:
        if pid := os.fork():
            parents.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        else:
            raise SystemExit(7)

    @app.task("work")
    def work() -> None: ...

    run(work.submit())
    assert parents == [7]


def test_hook_that_hangs_delays_only_hooks(
    app: FleetQ, run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hook_thread, "MOST_WAITING", 2)
    monkeypatch.setattr(hook_thread, "CLOSE_WITHIN", 0)
    may_end = threading.Event()

    @app.on("completed")
    def hang(event: HookEvent) -> None:
        may_end.wait(LIMIT)

    @app.task("work")
    def work() -> None: ...

    try:
        steps = run(*(work.submit() for _ in range(5)))
    finally:
        may_end.set()
    assert [step.status for step in steps] == ["completed"] * 5
    assert "hooks are too slow: dropped 1 event(s), while hook" in caplog.text
    assert "has not ended; it and 1 event(s) are left behind" in caplog.text


def test_events_that_weigh_too_much_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook_thread, "MOST_BYTES", 10)
    may_end = threading.Event()
    sizes: list[int] = []

    def make(size: int) -> Any:
        may_end.wait(LIMIT)
        sizes.append(size)
        raise UnknownToThisVersion("of a newer version")  # which must not end the thread

    thread = hook_thread.HookThread("pod-1", None)
    for size in (100, 1, 1):  # a large one may wait alone
        thread.put([], lambda size=size: make(size), size)  # type: ignore[misc]
    may_end.set()
    wait_until(lambda: sizes)
    thread.catch_up()
    thread.put([], lambda: make(2), 2)
    thread.close()
    assert sizes == [100, 2]


def test_hooks_are_told_of_lost_claims(app: FleetQ) -> None:
    events: list[HookEvent] = []
    app.on("lost")(events.append)

    @app.task("work")
    def work() -> None:
        while not current_step().cancelled:
            time.sleep(0.001)

    async def main() -> None:
        async with app.running():
            step_id = work.submit()
            await wait_until_async(lambda: app.status(step_id).status == "claimed")
            app.cancel(step_id)
            await wait_until_async(lambda: events)

    asyncio.run(main())
    assert events[0].attempt == 1


def test_leader_tells_hooks_what_becomes_of_the_steps_of_dead_pods(app: FleetQ) -> None:
    events: list[HookEvent] = []
    app.on("recovered", "dead_letter")(events.append)
    app.store.submit([Submit("a", "{}", max_retries=1), Submit("b", "{}", max_retries=0)])
    app.store.sync(SyncRequest("gone", "x", Join("gone", "x"), claim=2, claim_token="t"))
    app.store.sync(SyncRequest("gone", "x", Leave("gone", "x")))

    async def main() -> None:
        async with app.running():
            await wait_until_async(lambda: len(events) == 2)

    asyncio.run(main())
    told = {e.step.step_id: (e.name, e.step.status, e.attempt, e.error) for e in events}
    assert told["a"][:3] == ("recovered", "pending", 1)
    assert told["b"][:3] == ("dead_letter", "failed", 1)
    assert "gone" in (told["b"][3] or "")


def test_consumer_calls_the_hooks_of_its_app() -> None:
    app = FleetQ("memory://", settings=QUICK)
    events: list[HookEvent] = []

    @app.on("completed", "failed")
    async def add(event: HookEvent) -> None:
        events.append(event)

    app.submit({"n": 1})
    with app.consumer() as consumer:
        (step,) = consumer.claim_steps()
        consumer.complete_step(step, {"n": 2})
    assert [(e.name, e.step.result) for e in events] == [("completed", {"n": 2})]


def test_function_that_is_no_hook_is_rejected(app: FleetQ) -> None:
    def hook(event: HookEvent) -> None: ...

    with pytest.raises(InvalidInput, match="there is no hook 'fail'; did you mean 'failed'"):
        app.on("fail")(hook)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="with a name"):
        app.on(hook)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="it is called with one argument, the event"):
        app.on("failed")(lambda: None)  # type: ignore[type-var]
