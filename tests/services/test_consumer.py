"""Steps by hand: a consumer claims steps, and says how they ended."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from fleet_q import (
    AsyncConsumer,
    ClaimedStep,
    ClaimLost,
    Consumer,
    ConsumerEnded,
    FleetQ,
    InvalidInput,
    PermanentFailure,
    Snooze,
    StoreError,
    StoreUnavailable,
)
from fleet_q.adapters.memory import MemoryStore
from fleet_q.core.errors import DataRefused
from fleet_q.core.pod import Join
from fleet_q.core.ports import SyncRequest, SyncResult
from fleet_q.core.step import Complete
from fleet_q.services.app import consumer as consumers
from tests.forking import Child
from tests.services.conftest import QUICK, has_sent_heartbeat_since, last_heartbeat
from tests.waiting import LIMIT, wait_until, wait_until_async

SETTINGS = replace(QUICK, pod_id=None)


@pytest.fixture(params=["memory", "sqlite"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FleetQ]:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/q.db"
    app = FleetQ(url, settings=SETTINGS)
    yield app
    app.close()


def claim(consumer: Consumer) -> ClaimedStep:
    """One step; there is one."""
    (step,) = consumer.claim_steps(wait=LIMIT)
    return step


def submit(app: FleetQ, count: int) -> list[str]:
    return app.submit_many([{"task_type": "by hand", "number": number} for number in range(count)])


def test_claims_steps_in_order_and_shows_what_they_are(app: FleetQ) -> None:
    app.submit({"task_type": "later"})
    step_id = app.submit(
        {"task_type": "first", "file": "a.csv"},
        priority=2,
        max_retries=5,
        queue="q",
        key="k",
        labels={"day": "1"},
    )
    with app.consumer() as consumer:
        first, later = consumer.claim_steps(10)
        assert (first.step_id, first.payload["file"]) == (step_id, "a.csv")
        assert (first.task_type, first.attempt, first.max_retries) == ("first", 1, 5)
        assert (first.priority, first.is_lost) == (2, False)
        assert (first.queue, first.key, first.labels) == ("q", "k", {"day": "1"})
        assert (later.queue, later.key, later.labels) == ("default", None, {})
        assert app.status(step_id).claimed_by == consumer.pod_id


def test_claims_no_more_than_it_is_asked_for(app: FleetQ) -> None:
    submit(app, 5)
    with app.consumer() as consumer:
        assert len(consumer.claim_steps(2)) == 2
        assert app.queue()["pending"] == 3


def test_waits_until_there_is_a_step(app: FleetQ) -> None:
    with app.consumer() as consumer, ThreadPoolExecutor() as threads:
        waiting = threads.submit(claim, consumer)
        time.sleep(0)
        step_id = app.submit({})
        assert waiting.result(LIMIT).step_id == step_id


def test_returns_no_step_when_its_time_is_over(app: FleetQ) -> None:
    with app.consumer() as consumer:
        assert consumer.claim_steps(wait=0.01) == []
        assert consumer.claim_steps(wait=0) == []


def test_look_without_waiting_finds_what_was_submitted_before(app: FleetQ) -> None:
    with app.consumer() as consumer:
        for _ in range(20):
            assert consumer.claim_steps(wait=0) == []
            step_id = app.submit({})
            (step,) = consumer.claim_steps(10, wait=0)
            assert step.step_id == step_id


def test_completed_step_is_stored_when_the_call_returns(app: FleetQ) -> None:
    step_id = app.submit({})
    with app.consumer() as consumer:
        consumer.complete_step(claim(consumer), {"rows": 3})
        assert (app.status(step_id).status, app.status(step_id).result) == (
            "completed",
            {"rows": 3},
        )


def test_failed_step_is_retried_with_its_error(app: FleetQ) -> None:
    step_id = app.submit({}, max_retries=1)
    with app.consumer() as consumer:
        consumer.fail_step(claim(consumer), "the disk is full")
        step = app.status(step_id)
        assert (step.status, step.retry_count, step.error) == ("pending", 1, "the disk is full")
        again = claim(consumer)
        assert again.attempt == 2
        consumer.fail_step(again, ValueError("bad row"))
        step = app.status(step_id)
        assert (step.status, step.error) == ("failed", "ValueError: bad row")


@pytest.mark.parametrize("how", ["option", "exception"])
def test_permanent_failure_is_not_retried(app: FleetQ, how: str) -> None:
    step_id = app.submit({}, max_retries=5)
    with app.consumer() as consumer:
        if how == "option":
            consumer.fail_step(claim(consumer), "no such file", permanent=True)
        else:
            consumer.fail_step(claim(consumer), PermanentFailure("no such file"))
        assert app.status(step_id).status == "failed"


def test_failed_step_is_retried_by_the_policy_of_its_task(app: FleetQ) -> None:
    @app.task("load", max_retries=5, give_up_on=KeyError)
    def load(path: str) -> None:
        raise AssertionError

    lost, wrong = app.submit_many([{"task_type": "load", "path": path} for path in "ab"])
    with app.consumer() as consumer:
        one, other = consumer.claim_steps(2)
        consumer.fail_step(one, ConnectionError())
        consumer.fail_step(other, KeyError("sheet"))
        assert (app.status(lost).status, app.status(wrong).status) == ("pending", "failed")


def test_result_may_be_what_the_task_is_annotated_to_return(app: FleetQ) -> None:
    @app.task("load")
    def load() -> UUID:
        raise AssertionError

    step_id = app.submit({"task_type": "load"})
    with app.consumer() as consumer:
        consumer.complete_step(claim(consumer), UUID(int=7))
        assert app.status(step_id).result == str(UUID(int=7))


def test_requeued_step_can_be_claimed_again_and_uses_up_no_try(app: FleetQ) -> None:
    step_id = app.submit({}, max_retries=0)
    with app.consumer() as consumer:
        consumer.requeue_step(claim(consumer))
        consumer.requeue_step(claim(consumer), delay=3600)
        assert consumer.claim_steps(wait=0) == []
        step = app.status(step_id)
        assert (step.status, step.retry_count) == ("pending", 0)
        assert step.available_ts > step.last_update_ts


def test_step_completes_with_its_result_at_the_end_of_with(app: FleetQ) -> None:
    step_id = app.submit({"number": 7})
    with app.consumer() as consumer:
        with consumer.claim_step() as step:
            step.result = step.payload["number"] * 2
        assert (app.status(step_id).status, app.status(step_id).result) == ("completed", 14)


def test_step_fails_on_an_exception_which_propagates(app: FleetQ) -> None:
    step_id = app.submit({})
    with app.consumer() as consumer:
        with pytest.raises(ZeroDivisionError), consumer.claim_step():
            raise ZeroDivisionError("no rows")
        step = app.status(step_id)
        assert (step.status, step.error) == ("pending", "ZeroDivisionError: no rows")
        assert step.traceback is not None
        assert "test_consumer.py" in step.traceback


def test_step_is_put_off_by_a_call_by_an_exception_and_by_a_failure(app: FleetQ) -> None:
    step_id = app.submit({}, max_retries=0)
    with app.consumer() as consumer:
        consumer.snooze_step(claim(consumer), 0)
        with claim(consumer):
            raise Snooze(0)
        consumer.fail_step(claim(consumer), Snooze(3600))
        step = app.status(step_id)
        assert (step.status, step.snoozes, step.retry_count) == ("pending", 3, 0)
        assert consumer.claim_steps(wait=0) == []


class OddSnooze(Snooze):
    """Says not for how long."""

    def __init__(self) -> None: ...


def test_exception_that_only_derives_from_snooze_fails_the_step_and_propagates(app: FleetQ) -> None:
    step_id = app.submit({}, max_retries=0)
    with app.consumer() as consumer:
        with pytest.raises(OddSnooze), claim(consumer):
            raise OddSnooze
        assert (app.status(step_id).status, app.status(step_id).snoozes) == ("failed", 0)


def test_exception_that_only_derives_from_snooze_propagates_in_coroutines(app: FleetQ) -> None:
    step_id = app.submit({}, max_retries=0)

    async def main() -> None:
        async with app.consumer() as consumer:
            with pytest.raises(OddSnooze):
                async with consumer.claim_step():
                    raise OddSnooze

    asyncio.run(main())
    assert (app.status(step_id).status, app.status(step_id).snoozes) == ("failed", 0)


def test_step_is_put_off_in_coroutines(app: FleetQ) -> None:
    step_id = app.submit({}, max_retries=0)

    async def main() -> None:
        async with app.consumer() as consumer:
            (step,) = await consumer.claim_steps(wait=LIMIT)
            await consumer.snooze_step(step, 0)
            async with consumer.claim_step():
                raise Snooze(3600)

    asyncio.run(main())
    assert (app.status(step_id).status, app.status(step_id).snoozes) == ("pending", 2)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_step_is_requeued_by_what_ends_the_program(app: FleetQ, stop: type[BaseException]) -> None:
    step_id = app.submit({}, max_retries=0)
    with app.consumer() as consumer:
        with pytest.raises(stop), consumer.claim_step():
            raise stop
        assert (app.status(step_id).status, app.status(step_id).retry_count) == ("pending", 0)


def test_step_that_was_ended_in_the_body_is_left_alone(app: FleetQ) -> None:
    step_id = app.submit({})
    with app.consumer() as consumer:
        with consumer.claim_step() as step:
            consumer.fail_step(step, "not today", permanent=True)
        assert app.status(step_id).status == "failed"


def test_with_gives_none_if_there_is_no_step(app: FleetQ) -> None:
    with app.consumer() as consumer, consumer.claim_step(wait=0) as step:
        assert step is None


def test_each_of_many_steps_is_a_context_manager(app: FleetQ) -> None:
    ids = submit(app, 3)
    with app.consumer() as consumer:
        for step in consumer.claim_steps(10):
            with step:
                step.result = step.payload["number"]
        assert [app.status(step_id).result for step_id in ids] == [0, 1, 2]


def test_result_that_is_not_json_changes_nothing(app: FleetQ) -> None:
    step_id = app.submit({})
    with app.consumer() as consumer:
        step = claim(consumer)
        with pytest.raises(InvalidInput, match="the result"):
            consumer.complete_step(step, object())
        assert app.status(step_id).status == "claimed"
        consumer.complete_step(step, "text")
        assert app.status(step_id).result == "text"


def test_result_of_with_that_is_not_json_fails_the_step_for_good(app: FleetQ) -> None:
    step_id = app.submit({}, max_retries=3)
    with app.consumer() as consumer:
        with pytest.raises(InvalidInput, match="the result"), consumer.claim_step() as step:
            step.result = {1, 2}
        assert app.status(step_id).status == "failed"


def test_timeout_of_a_step_ends_its_claim(app: FleetQ) -> None:
    step_id = app.submit({}, timeout=0.05, max_retries=0)
    with app.consumer() as consumer:
        step = claim(consumer)
        wait_until(lambda: step.is_lost)
        with pytest.raises(ClaimLost):
            consumer.complete_step(step)
        ended = app.wait(step_id, LIMIT)
    assert (ended.status, ended.error) == ("failed", "TimeoutError: ran longer than 0.05 s")


def test_step_ends_once(app: FleetQ) -> None:
    app.submit({})
    with app.consumer() as consumer:
        step = claim(consumer)
        consumer.complete_step(step)
        assert not step.is_lost
        with pytest.raises(InvalidInput, match="already"):
            consumer.fail_step(step, "too late")


def test_cancelled_step_is_lost(app: FleetQ) -> None:
    step_id = app.submit({})
    with app.consumer() as consumer:
        step = claim(consumer)
        app.cancel(step_id)
        wait_until(lambda: step.is_lost)
        with pytest.raises(ClaimLost, match=step_id):
            consumer.complete_step(step)
        assert app.status(step_id).status == "cancelled"


def test_outcome_of_a_step_that_was_just_cancelled_is_refused(app: FleetQ) -> None:
    app_of_slow_heart = FleetQ(app.store, settings=replace(SETTINGS, heartbeat_interval=LIMIT / 2))
    step_id = app.submit({})
    with app_of_slow_heart.consumer() as consumer:
        step = claim(consumer)
        app.cancel(step_id)
        with pytest.raises(ClaimLost):
            consumer.complete_step(step)


def test_lost_step_does_not_hide_the_exception_of_the_body(app: FleetQ) -> None:
    step_id = app.submit({})
    with app.consumer() as consumer:
        with pytest.raises(ZeroDivisionError), consumer.claim_step():
            raise ZeroDivisionError(app.cancel(step_id).status)
        assert app.status(step_id).status == "cancelled"


def test_consumer_is_a_pod_with_a_heartbeat_that_leads(app: FleetQ) -> None:
    with app.consumer() as consumer:
        wait_until(lambda: app.leader().leader_pod_id == consumer.pod_id)
        before = last_heartbeat(app)
        wait_until(lambda: has_sent_heartbeat_since(app, before))
    (pod,) = app.pods()
    assert (pod.pod_id, pod.status) == (consumer.pod_id, "down")


def test_consumer_recovers_the_steps_of_a_dead_pod(tmp_path: Path) -> None:
    app = FleetQ(f"sqlite:///{tmp_path}/q.db", settings=replace(SETTINGS, dead_pod_threshold=0.5))
    step_id = app.submit({})
    script = f"""
import os
from fleet_q import FleetQ
with FleetQ("sqlite:///{tmp_path}/q.db").consumer() as consumer:
    consumer.claim_steps(wait=60)
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    with app.consumer() as consumer:
        step = claim(consumer)
        assert (step.step_id, step.attempt) == (step_id, 2)
    app.close()


def test_steps_that_are_held_at_the_end_are_released(app: FleetQ) -> None:
    ids = submit(app, 3)
    with app.consumer() as consumer:
        steps = consumer.claim_steps(3)
    assert [app.status(step_id).status for step_id in ids] == ["pending"] * 3
    assert app.status(ids[0]).retry_count == 0
    assert steps[0].is_lost
    for use in (
        lambda: consumer.claim_steps(wait=0),
        lambda: consumer.claim_steps(),
        lambda: consumer.complete_step(steps[0]),
    ):
        with pytest.raises(ConsumerEnded, match="left the fleet"):
            use()


def test_caller_that_waits_when_the_consumer_leaves_gets_an_error(app: FleetQ) -> None:
    with ThreadPoolExecutor() as threads:
        with app.consumer() as consumer:
            waiting = threads.submit(consumer.claim_steps)
            wait_until(lambda: app.pods())
        with pytest.raises(ConsumerEnded):
            waiting.result(LIMIT)


def test_exception_in_the_body_of_the_consumer_propagates_and_releases(app: FleetQ) -> None:
    step_id = app.submit({})
    with pytest.raises(ZeroDivisionError), app.consumer() as consumer:
        raise ZeroDivisionError(claim(consumer).step_id)
    assert app.status(step_id).status == "pending"


def test_threads_share_a_consumer(app: FleetQ) -> None:
    ids = submit(app, 200)

    def work(consumer: Consumer) -> int:
        count = 0
        while steps := consumer.claim_steps(7, wait=0):
            for step in steps:
                consumer.complete_step(step, step.payload["number"])
            count += len(steps)
        return count

    with app.consumer() as consumer, ThreadPoolExecutor(8) as threads:
        counts = list(threads.map(work, [consumer] * 8))
    assert sum(counts) == 200
    assert [app.status(step_id).result for step_id in ids] == list(range(200))


def test_one_process_has_several_consumers(app: FleetQ) -> None:
    with app.consumer() as one, app.consumer() as other:
        ids = submit(app, 2)
        assert one.pod_id != other.pod_id
        held = [claim(one), claim(other)]
        assert sorted(step.step_id for step in held) == sorted(ids)
        assert app.status(held[1].step_id).claimed_by == other.pod_id
        assert len([pod for pod in app.pods() if pod.status == "up"]) == 2


def test_consumer_holds_no_more_steps_than_its_slots(app: FleetQ) -> None:
    submit(app, 5)
    with app.consumer(slots=3) as consumer:
        steps = consumer.claim_steps(10)
        assert len(steps) == 3
        assert consumer.claim_steps(10, wait=0) == []
        consumer.complete_step(steps[0])
        assert len(consumer.claim_steps(10)) == 1


@pytest.mark.parametrize("arguments", [{"n": 0}, {"n": 1001}, {"n": 1.0}, {"wait": -1}])
def test_invalid_arguments_are_refused(app: FleetQ, arguments: dict[str, Any]) -> None:
    with app.consumer() as consumer, pytest.raises(InvalidInput):
        consumer.claim_steps(**arguments)


def test_value_that_is_no_claimed_step_is_refused(app: FleetQ) -> None:
    step_id: Any = app.submit({})
    with app.consumer() as consumer:
        for end in (consumer.complete_step, consumer.requeue_step):
            with pytest.raises(InvalidInput, match="pass a step that claim_steps returned, not 's"):
                end(step_id)
        with pytest.raises(InvalidInput, match="pass a step that claim_steps returned"):
            consumer.fail_step(step_id, "error")


def test_consumer_claims_only_from_its_queues_and_of_its_types(app: FleetQ) -> None:
    payloads = [{"task_type": "resize"}, {"task_type": "load"}, {}]
    for queue in ("gpu", "default", "other"):
        for payload in payloads:
            app.submit(payload, queue=queue)

    def claimed(consumer: Consumer) -> set[tuple[str, str | None]]:
        return {(step.queue, step.task_type) for step in consumer.claim_steps(100, wait=0)}

    with app.consumer(["gpu", "other"], ["resize", ""]) as consumer:
        assert claimed(consumer) == {
            ("gpu", "resize"), ("gpu", None), ("other", "resize"), ("other", None)
        }  # fmt: skip
    with app.consumer(task_types=["load"]) as consumer:
        assert claimed(consumer) == {(queue, "load") for queue in ("gpu", "default", "other")}
    queue_of_settings = FleetQ(app.store, settings=replace(SETTINGS, queues=("gpu",)))
    with queue_of_settings.consumer() as consumer:
        assert claimed(consumer) == {("gpu", "resize"), ("gpu", "load"), ("gpu", None)}


@pytest.mark.parametrize(
    "arguments",
    [
        {"queues": "gpu"},
        {"queues": []},
        {"queues": ["a,b"]},
        {"queues": [None]},
        {"task_types": "resize"},
        {"task_types": []},
        {"task_types": [5]},
    ],
    ids=str,
)
def test_invalid_queues_and_types_are_refused(app: FleetQ, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        app.consumer(**arguments)


@pytest.mark.parametrize("slots", [0, True, 1.5, 100_001])
def test_invalid_slots_are_refused(app: FleetQ, slots: Any) -> None:
    with pytest.raises(InvalidInput, match="slots"):
        app.consumer(slots=slots)


def test_consumer_is_used_once(app: FleetQ) -> None:
    joining = app.consumer()
    with joining:
        pass
    with pytest.raises(InvalidInput, match="again"), joining:
        pass


class FailingStore(MemoryStore):
    """A store that answers no sync while it ``is_away``."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = False
        self.refusals = 0
        self.refuses: Callable[[SyncRequest], bool] = lambda _: False

    def sync(self, request: SyncRequest) -> SyncResult:
        if self.is_away:
            self.refusals += 1
            raise StoreUnavailable("it is away")
        if self.refuses(request):
            raise DataRefused("it is too large")
        return super().sync(request)


def test_claim_waits_until_the_store_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    store = FailingStore()
    app = FleetQ(store, settings=SETTINGS)
    step_id = app.submit({})
    with app.consumer() as consumer, ThreadPoolExecutor() as threads:
        store.is_away = True
        waiting = threads.submit(claim, consumer)
        wait_until(lambda: store.refusals > 2)
        store.is_away = False
        assert waiting.result(LIMIT).step_id == step_id


def test_claim_whose_time_is_over_says_that_the_store_is_away() -> None:
    store = FailingStore()
    with FleetQ(store, settings=SETTINGS).consumer() as consumer:
        store.is_away = True
        for wait in (0, 0.01):
            with pytest.raises(StoreUnavailable, match="it is away"):
                consumer.claim_steps(wait=wait)
        store.is_away = False
        assert consumer.claim_steps(wait=0) == []


def test_outcome_is_stored_when_the_store_is_back() -> None:
    store = FailingStore()
    app = FleetQ(store, settings=SETTINGS)
    step_id = app.submit({})
    with app.consumer() as consumer, ThreadPoolExecutor() as threads:
        step = claim(consumer)
        store.is_away = True
        completing = threads.submit(consumer.complete_step, step, 5)
        wait_until(lambda: store.refusals > 2)
        assert not completing.done()
        store.is_away = False
        completing.result(LIMIT)
        assert app.status(step_id).result == 5


def test_outcome_that_the_store_refuses_is_an_error() -> None:
    store = FailingStore()
    store.refuses = lambda request: any(type(one) is Complete for one in request.outcomes)
    app = FleetQ(store, settings=SETTINGS)
    step_id = app.submit({})
    with app.consumer() as consumer:
        with pytest.raises(StoreError, match=f"{step_id}.*too large"):
            consumer.complete_step(claim(consumer))
        assert app.status(step_id).status == "failed"


def test_outcome_of_which_the_store_refuses_every_form_is_an_error() -> None:
    store = FailingStore()
    store.refuses = lambda request: bool(request.outcomes)
    app = FleetQ(store, settings=SETTINGS)
    app.submit({})
    with app.consumer() as consumer, pytest.raises(StoreError, match="too large"):
        consumer.complete_step(claim(consumer))


def test_interrupted_claim_leaves_no_step_claimed(
    app: FleetQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(call: Any, seconds: float) -> bool:
        step_id = app.submit({})
        wait_until(lambda: app.status(step_id).status == "claimed")
        raise KeyboardInterrupt

    with app.consumer() as consumer:
        monkeypatch.setattr(consumers, "_is_done", interrupted)
        with pytest.raises(KeyboardInterrupt):
            consumer.claim_steps(wait=LIMIT)
        wait_until(lambda: app.queue()["pending"] == 1)


def test_forked_process_has_no_consumer_and_may_make_one(tmp_path: Path) -> None:
    app = FleetQ(f"sqlite:///{tmp_path}/q.db", settings=SETTINGS)
    step_id = app.submit({})

    def in_child(consumer: Consumer) -> str:
        try:
            consumer.claim_steps(wait=0)
        except ConsumerEnded as error:
            with app.consumer() as own:
                own.complete_step(claim(own), "child")
            return str(error)
        return "claimed"

    with app.consumer() as consumer:
        said = Child(lambda: in_child(consumer)).ended()
        assert "parent process" in said
        assert app.status(step_id).result == "child"
        assert consumer.claim_steps(wait=0) == []
    app.close()


def test_process_that_exits_within_a_thread_of_a_consumer_leaves_the_fleet(tmp_path: Path) -> None:
    app = FleetQ(f"sqlite:///{tmp_path}/q.db", settings=SETTINGS)
    step_id = app.submit({})
    script = f"""
import threading, time
from fleet_q import FleetQ
claimed = threading.Event()
def work():
    with FleetQ("sqlite:///{tmp_path}/q.db").consumer() as consumer:
        consumer.claim_steps(wait=60)
        claimed.set()
        time.sleep(3600)
threading.Thread(target=work, daemon=True).start()
claimed.wait()
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    assert app.status(step_id).status == "pending"
    assert [pod.status for pod in app.pods()] == ["down"]
    app.close()


@pytest.mark.parametrize("has_step", [True, False], ids=["working", "waiting"])
def test_ctrl_c_requeues_the_step_and_leaves_the_fleet(tmp_path: Path, has_step: bool) -> None:
    app = FleetQ(f"sqlite:///{tmp_path}/q.db", settings=SETTINGS)
    if has_step:
        app.submit({}, step_id="step", max_retries=0)
    script = f"""
import signal, time
from fleet_q import FleetQ
signal.signal(signal.SIGINT, signal.default_int_handler)
with FleetQ("sqlite:///{tmp_path}/q.db").consumer() as consumer:
    print("joined", flush=True)
    with consumer.claim_step() as step:
        time.sleep(3600)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"joined\n"
    if has_step:
        wait_until(lambda: app.status("step").status == "claimed")
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=LIMIT)
    assert b"KeyboardInterrupt" in error
    assert [pod.status for pod in app.pods()] == ["down"]
    if has_step:
        step = app.status("step")
        assert (step.status, step.retry_count) == ("pending", 0)
    app.close()


def test_superseded_consumer_says_why_it_ended(app: FleetQ) -> None:
    with app.consumer() as consumer:
        assert consumer.claim_steps(wait=0) == []
        app.store.sync(SyncRequest(consumer.pod_id, "other", Join(consumer.pod_id, "other")))
        with pytest.raises(ConsumerEnded, match="another process has joined"):
            consumer.claim_steps()


# In coroutines


def test_coroutines_claim_and_end_steps(app: FleetQ) -> None:
    ids = submit(app, 4)

    async def main() -> None:
        async with app.consumer() as consumer:
            one, two, three = await consumer.claim_steps(3)
            await asyncio.gather(
                consumer.complete_step(one, 1),
                consumer.fail_step(two, "no", permanent=True),
                consumer.requeue_step(three, delay=3600),
            )
            async with consumer.claim_step() as four:
                four.result = await asyncio.sleep(0, "four")
            async with consumer.claim_step(wait=0) as none:
                assert none is None

    asyncio.run(main())
    assert [app.status(i).status for i in ids] == ["completed", "failed", "pending", "completed"]
    assert app.status(ids[3]).result == "four"


def test_exception_fails_the_step_of_a_coroutine(app: FleetQ) -> None:
    step_id = app.submit({}, max_retries=0)

    async def main() -> None:
        async with app.consumer() as consumer:
            with pytest.raises(ZeroDivisionError):
                async with consumer.claim_step():
                    raise ZeroDivisionError

    asyncio.run(main())
    assert app.status(step_id).error == "ZeroDivisionError"


def test_cancelled_coroutine_requeues_its_step(app: FleetQ) -> None:
    step_id = app.submit({}, max_retries=0)

    async def work(consumer: AsyncConsumer) -> None:
        async with consumer.claim_step():
            await asyncio.sleep(LIMIT)

    async def main() -> None:
        async with app.consumer() as consumer:
            task = asyncio.create_task(work(consumer))
            await wait_until_async(lambda: app.status(step_id).status == "claimed")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            step = app.status(step_id)
            assert (step.status, step.retry_count) == ("pending", 0)

    asyncio.run(main())


def test_cancelled_claim_leaves_no_step_claimed(app: FleetQ) -> None:
    async def main() -> None:
        async with app.consumer() as consumer:
            task = asyncio.create_task(consumer.claim_steps(10, wait=LIMIT))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            step_id = app.submit({})
            assert [step.step_id for step in await consumer.claim_steps(wait=LIMIT)] == [step_id]

    asyncio.run(main())


def test_consumer_does_not_block_the_event_loop(app: FleetQ) -> None:
    async def main() -> str:
        async with app.consumer() as consumer:
            waiting = asyncio.create_task(consumer.claim_steps())
            await asyncio.sleep(0)
            step_id = app.submit({})  # while the claim waits, this runs
            (step,) = await waiting
            assert step.step_id == step_id
            await consumer.complete_step(step)
            return step_id

    assert app.status(asyncio.run(main())).status == "completed"


def test_threads_that_end_steps_at_once_share_a_sync() -> None:
    syncs: list[SyncRequest] = []
    may_go_on = threading.Event()

    class Slow(MemoryStore):
        def sync(self, request: SyncRequest) -> SyncResult:
            if request.outcomes:
                syncs.append(request)
                may_go_on.wait(LIMIT)
            return super().sync(request)

    app = FleetQ(Slow(), settings=SETTINGS)
    submit(app, 20)
    with app.consumer() as consumer, ThreadPoolExecutor(20) as threads:
        steps = consumer.claim_steps(20)
        endings = [threads.submit(consumer.complete_step, step) for step in steps]
        wait_until(lambda: syncs)
        wait_until(lambda: all(step.has_ended for step in steps))
        may_go_on.set()
        for ending in endings:
            ending.result(LIMIT)
        assert len(syncs) <= 2
