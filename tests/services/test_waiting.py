"""Steps that wait for a slot start in claim order, and only while their claim is valid."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from fleet_q import FleetQ, Settings
from fleet_q.core.retry import RetryPolicy
from fleet_q.core.step import Step
from fleet_q.services.worker.runners import Runners
from tests.waiting import LIMIT, wait_until

kinds = pytest.mark.parametrize("kind", ["thread", "loop"])


class Place:
    """Runners with one slot. Each function appends its step's name to ``begun`` and waits until
    the test lets it return."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        app = FleetQ("memory://")
        self.begun: list[str] = []
        self.unconfirmed = threading.Event()
        self._ended = threading.Semaphore(0)
        self._go = threading.Semaphore(0)

        @app.task("thread")
        def in_thread(name: str) -> None:
            self.begun.append(name)
            self._go.acquire(timeout=LIMIT)

        @app.task("loop")
        async def on_loop(name: str) -> None:
            self.begun.append(name)
            while not self._go.acquire(blocking=False):
                await asyncio.sleep(0.001)

        self.runners = Runners(
            app._registry,
            retry_policy=RetryPolicy(0.0, 0.0, lambda: 0.0),
            on_outcome=lambda outcome: self._ended.release(),
            on_began=lambda *_: None,
            loop=loop,
            max_running=1,
            on_unconfirmed=self.unconfirmed.set,
            pod_id="pod",
            settings=Settings(),
        )

    def start(self, kind: str, *names: str, priority: int = 0, begin_by: float = math.inf) -> None:
        self.runners.start([step(kind, name, priority) for name in names], begin_by)

    def end_one(self) -> None:
        """Let a function return, and wait until it has."""
        self._go.release()
        assert self._ended.acquire(timeout=LIMIT)

    def wait_for(self, *names: str) -> None:
        """Wait until exactly these have begun."""

        def have_begun() -> bool:
            assert self.begun == list(names[: len(self.begun)])
            return self.begun == list(names)

        wait_until(have_begun)


def step(kind: str, name: str, priority: int) -> Step:
    payload = f'{{"task_type":"{kind}","name":"{name}"}}'
    fields: Any = {"created_ts": 0, "last_update_ts": 0, "available_ts": 0}
    return Step(name, "claimed", priority, payload, 0, 3, claim_token="token", **fields)


@contextmanager
def running_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(_all_ended(), loop).result(LIMIT)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _all_ended() -> None:
    while len(asyncio.all_tasks()) > 1:
        await asyncio.sleep(0.001)


@pytest.fixture
def place() -> Iterator[Place]:
    with running_loop() as loop:
        place = Place(loop)
        yield place
        place.runners.close()
        place._go.release(100)


@kinds
def test_urgent_step_begins_before_all_that_was_claimed_earlier(place: Place, kind: str) -> None:
    place.start(kind, "a", "b", "c")
    place.wait_for("a")
    place.start(kind, "urgent", priority=1)
    place.start(kind, "d")
    begun = ["a"]
    for name in ("urgent", "b", "c", "d"):
        place.end_one()
        begun.append(name)
        place.wait_for(*begun)


@pytest.mark.parametrize(("kind", "other"), [("thread", "loop"), ("loop", "thread")])
def test_urgent_step_of_another_kind_begins_next(place: Place, kind: str, other: str) -> None:
    place.start(kind, "a", "b", "c")
    place.wait_for("a")
    place.start(other, "urgent", priority=1)
    place.end_one()
    place.wait_for("a", "urgent")
    place.end_one()
    place.wait_for("a", "urgent", "b")
    place.end_one()
    place.wait_for("a", "urgent", "b", "c")


def test_blocked_event_loop_keeps_no_thread_waiting(place: Place) -> None:
    free = threading.Event()
    blocked = threading.Event()

    def block() -> None:
        blocked.set()
        free.wait(LIMIT)

    place.start("thread", "a")
    place.wait_for("a")
    place.runners._by_kind["loop"]._loop.call_soon_threadsafe(block)  # type: ignore[attr-defined]
    assert blocked.wait(LIMIT)
    try:
        place.start("loop", "urgent", priority=1)
        place.start("thread", "b", "c")
        place.end_one()

        def has_begun() -> bool:
            place.runners.pull()  # as the pod does while there is a free slot
            return place.begun != ["a"]

        wait_until(has_begun)
        assert place.begun == ["a", "b"]
    finally:
        free.set()


@kinds
def test_expired_claim_is_confirmed_before_the_step_starts(place: Place, kind: str) -> None:
    place.start(kind, "a")
    place.wait_for("a")
    place.start(kind, "b", "cancelled", begin_by=0.0)
    assert not place.unconfirmed.is_set()
    place.end_one()
    assert place.unconfirmed.wait(LIMIT)
    assert place.begun == ["a"]
    place.runners.abandon("cancelled", "token")
    place.runners.confirm(math.inf)
    place.wait_for("a", "b")
    place.start(kind, "c")
    place.end_one()
    place.wait_for("a", "b", "c")


@kinds
def test_claim_that_expires_again_is_confirmed_again(place: Place, kind: str) -> None:
    place.start(kind, "a", begin_by=0.0)
    assert place.unconfirmed.wait(LIMIT)
    place.unconfirmed.clear()
    place.runners.confirm(0.0)
    assert place.unconfirmed.wait(LIMIT)
    place.runners.confirm(math.inf)
    place.wait_for("a")


def test_withdrawing_keeps_the_first_in_claim_order_of_all_kinds(place: Place) -> None:
    place.start("thread", "a")
    place.wait_for("a")
    place.start("thread", "b", "e")
    place.start("loop", "c", "d")
    place.start("loop", "urgent", priority=1)
    assert place.runners.withdraw(3) == [("d", "token"), ("e", "token")]
    for begun in (["urgent"], ["urgent", "b"], ["urgent", "b", "c"]):
        place.end_one()
        place.wait_for("a", *begun)
    assert place.runners.withdraw(0) == []
