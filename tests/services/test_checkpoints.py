"""What functions save for their later attempts: in threads, coroutines, processes and by hand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fleet_q import ClaimLost, FleetQ, InvalidInput, StoreUnavailable, Task, current_step
from fleet_q.adapters.memory import MemoryStore
from fleet_q.core.step import SaveCheckpoint
from fleet_q.services.app.checkpoint import progress_json
from tests.services import module_with_processes as module
from tests.services.conftest import QUICK, Run, ended
from tests.waiting import LIMIT, wait_until, wait_until_ended

RARE_HEARTBEATS = replace(QUICK, heartbeat_interval=2 * LIMIT, dead_pod_threshold=4 * LIMIT)
"""No test waits for as long as until the next heartbeat."""


@pytest.fixture(params=["memory", "sqlite"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FleetQ]:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/q.db"
    app = FleetQ(url, settings=QUICK)
    yield app
    app.close()


def test_later_attempt_goes_on_where_the_earlier_one_was(app: FleetQ, run: Run) -> None:
    seen: list[Any] = []

    @app.task("load")
    def load() -> int:
        step = current_step()
        seen.append(step.saved)
        done = step.saved or 0
        step.save(done + 1)
        assert step.saved == done + 1
        if done < 2:
            raise ValueError("no")
        return int(step.saved)

    (step,) = run(load.submit())
    assert (seen, step.result) == ([None, 1, 2], 3)


def test_async_function_saves_without_blocking_the_event_loop(app: FleetQ, run: Run) -> None:
    seen: list[Any] = []

    @app.task("load")
    async def load() -> Any:
        step = current_step()
        seen.append(step.saved)
        await step.save_async({"rows": [1, 2]})
        if step.attempt == 1:
            raise ValueError("no")
        return step.saved

    (step,) = run(load.submit())
    assert (seen, step.result) == ([None, {"rows": [1, 2]}], {"rows": [1, 2]})


def test_function_runs_once_over_all_attempts(app: FleetQ, run: Run) -> None:
    calls: list[str] = []

    def call(name: str) -> tuple[str, int]:
        calls.append(name)
        return name, len(calls)

    @app.task("load")
    def load() -> list[Any]:
        step = current_step()
        results = [step.once(name, lambda name=name: call(name)) for name in ("a", "b")]
        step.save("kept beside them")
        if step.attempt == 1:
            raise ValueError("no")
        return [*results, step.saved]

    (step,) = run(load.submit())
    assert calls == ["a", "b"]
    assert step.result == [["a", 1], ["b", 2], "kept beside them"]


def test_coroutine_runs_once_over_all_attempts(app: FleetQ, run: Run) -> None:
    calls: list[str] = []

    async def fetch(name: str) -> str:
        calls.append(name)
        await asyncio.sleep(0)
        return name.upper()

    @app.task("load")
    async def load() -> list[str]:
        step = current_step()
        results = await asyncio.gather(
            *(step.once(name, lambda name=name: fetch(name)) for name in ("a", "b", "c"))
        )
        if step.attempt == 1:
            raise ValueError("no")
        return list(results)

    (step,) = run(load.submit())
    assert (sorted(calls), step.result) == (["a", "b", "c"], ["A", "B", "C"])


def test_function_that_fails_runs_again_under_its_name(app: FleetQ, run: Run) -> None:
    calls: list[int] = []

    def call() -> int:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("no")
        return 7

    @app.task("load")
    def load() -> int:
        return current_step().once("call", call)

    (step,) = run(load.submit())
    assert (len(calls), step.result) == (2, 7)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (object(), "the checkpoint is not JSON"),
        ("x" * 200, "the checkpoint has at least 202 bytes; the limit is 100"),
        ("x" * 95, "the checkpoint has 107 bytes; the limit is 100"),
    ],
    ids=["no JSON", "too large", "too large as a whole"],
)
def test_invalid_checkpoint_is_rejected(run: Run, value: object, message: str) -> None:
    app = FleetQ("memory://", settings=replace(QUICK, max_result_bytes=100))

    @app.task("load")
    def load() -> str:
        step = current_step()
        step.save(1)
        with pytest.raises(InvalidInput) as error:
            step.save(value)
        assert step.saved == 1
        return str(error.value)

    (step,) = asyncio.run(ended(app, [load.submit()]))
    assert step.result.startswith(message)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (7, "must be a text, not 7"),
        ("x" * 201, "has 201 characters; the limit is 200"),
        ("\ud800", "is no Unicode text: "),
    ],
    ids=["number", "long", "surrogate"],
)
def test_invalid_name_of_what_runs_once_is_rejected(
    app: FleetQ, run: Run, name: Any, message: str
) -> None:
    calls: list[int] = []

    @app.task("load")
    def load() -> None:
        current_step().once(name, lambda: calls.append(1))

    (step,) = run(load.submit())
    assert (step.status, step.retry_count, calls) == ("failed", 0, [])
    assert str(step.error).startswith(f"InvalidInput: the name of what runs once {message}")


@pytest.mark.parametrize("task", [module.saves_a_set, module.saves_a_set_in_a_thread])
def test_value_that_cannot_be_saved_makes_its_step_a_dead_letter_at_once(
    task: Task[[], None],
) -> None:
    module.app.use(settings=QUICK)
    (step,) = asyncio.run(ended(module.app, [task.submit()]))
    assert (step.status, step.retry_count) == ("failed", 0)
    assert "is not JSON" in str(step.error)


def test_threads_that_ask_for_one_name_share_one_call(app: FleetQ, run: Run) -> None:
    calls: list[int] = []
    begin = threading.Barrier(4)

    def call() -> int:
        calls.append(1)
        return len(calls)

    @app.task("load")
    def load() -> list[int]:
        step = current_step()

        def ask(_: int) -> int:
            begin.wait(LIMIT)
            return step.once("call", call)

        with ThreadPoolExecutor(4) as threads:
            return list(threads.map(ask, range(4)))

    (step,) = run(load.submit())
    assert (step.result, calls) == ([1] * 4, [1])


def test_coroutines_that_ask_for_one_name_share_one_call(app: FleetQ, run: Run) -> None:
    calls: list[int] = []

    async def call() -> int:
        calls.append(1)
        await asyncio.sleep(0)
        return len(calls)

    @app.task("load")
    async def load() -> list[int]:
        step = current_step()
        return list(await asyncio.gather(*(step.once("call", call) for _ in range(4))))

    (step,) = run(load.submit())
    assert (step.result, calls) == ([1] * 4, [1])


def test_threads_of_one_function_save_one_after_the_other(app: FleetQ, run: Run) -> None:
    @app.task("load")
    def load() -> list[int]:
        step = current_step()
        barrier = threading.Barrier(8)

        def keep(number: int) -> None:
            barrier.wait()
            step.once(str(number), lambda: number)

        threads = [threading.Thread(target=keep, args=[number]) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if step.attempt == 1:
            raise ValueError("no")
        return [step.once(str(number), lambda: -1) for number in range(8)]

    (step,) = run(load.submit())
    assert step.result == list(range(8))


@pytest.mark.parametrize("is_async", [False, True], ids=["thread", "event loop"])
def test_function_whose_claim_is_lost_cannot_save_and_is_stopped(
    app: FleetQ, is_async: bool
) -> None:
    """Only the checkpoint can tell the pod."""
    app.use(settings=RARE_HEARTBEATS)
    lost = threading.Event()
    stopped = threading.Event()

    def work() -> None:
        step = current_step()
        app.cancel(step.step_id)
        with pytest.raises(ClaimLost):
            step.save(1)
        lost.set()

    @app.task("thread")
    def in_thread() -> None:
        work()
        context = current_step()
        wait_until(lambda: context.cancelled)
        stopped.set()

    @app.task("event loop")
    async def on_loop() -> None:
        work()
        try:
            await asyncio.sleep(3_600)
        finally:
            stopped.set()

    async def main() -> None:
        async with app.running():
            step_id = (on_loop if is_async else in_thread).submit()
            assert await asyncio.to_thread(lost.wait, LIMIT)
            assert await asyncio.to_thread(stopped.wait, LIMIT)
            assert app.status(step_id).status == "cancelled"

    asyncio.run(main())


class Silent(MemoryStore):
    """A store that carries out the first save, and does not answer."""

    is_silent = True

    def save_checkpoint(self, save: SaveCheckpoint, pod_id: str | None = None) -> None:
        super().save_checkpoint(save, pod_id)
        if self.is_silent:
            self.is_silent = False
            raise StoreUnavailable("no answer")


def test_attempt_saves_no_more_after_a_call_without_an_answer(run: Run) -> None:
    app = FleetQ(Silent(), settings=QUICK)
    errors: list[str] = []

    @app.task("load")
    def load() -> Any:
        step = current_step()
        if step.attempt == 1:
            for value in (1, 2):
                with pytest.raises(StoreUnavailable) as error:
                    step.save(value)
                errors.append(str(error.value))
            assert step.saved is None
            raise ValueError("no")
        before = step.saved
        step.save(3)
        return [before, step.saved]

    (step,) = asyncio.run(ended(app, [load.submit()]))
    assert step.result == [1, 3]
    assert errors[0] == "no answer"
    assert "it is not known whether the last checkpoint was stored: no answer" in errors[1]


def test_save_without_an_answer_may_be_repeated(run: Run) -> None:
    app = FleetQ(Silent(), settings=QUICK)

    @app.task("load")
    def load() -> Any:
        step = current_step()
        with pytest.raises(StoreUnavailable):
            step.save(1)
        step.save(1)
        step.save(2)
        return step.saved

    (step,) = asyncio.run(ended(app, [load.submit()]))
    saves = [event for event in app.history(step.step_id) if event.type == "checkpointed"]
    assert (step.result, len(saves)) == (2, 2)


@pytest.mark.slow
def test_function_in_a_process_saves_through_its_pod() -> None:
    """The store is in memory, so the child process cannot reach it."""
    module.app.use(settings=QUICK)
    step_id = module.app.submit({"task_type": "saves"})
    (step,) = asyncio.run(ended(module.app, [step_id]))
    assert step.result == [{"page": 1}, "x", "the checkpoint is not JSON"]


@pytest.mark.slow
def test_process_whose_claim_is_lost_cannot_save_and_is_killed(tmp_path: Path) -> None:
    """Only the checkpoint can tell the pod."""
    module.app.use(settings=RARE_HEARTBEATS)

    async def main() -> None:
        async with module.app.running():
            step_id = module.app.submit({"task_type": "saves late", "folder": str(tmp_path)})
            await asyncio.to_thread(wait_until, (tmp_path / "pid").exists)
            module.app.cancel(step_id)
            (tmp_path / "go").touch()
            pid = int((tmp_path / "pid").read_text())
            await asyncio.to_thread(wait_until_ended, pid)
            events = [event.type for event in module.app.history(step_id)]
            assert events == ["submitted", "claimed", "cancelled"]

    asyncio.run(main())


def test_consumer_saves_for_who_claims_the_step_later(app: FleetQ) -> None:
    app.submit({})
    with app.consumer() as consumer:
        (step,) = consumer.claim_steps(wait=LIMIT)
        assert step.saved is None
        consumer.save(step, {"page": 1})
        assert step.saved == {"page": 1}
        consumer.requeue_step(step)

    async def later() -> Any:
        async with app.consumer() as consumer:
            (step,) = await consumer.claim_steps(wait=LIMIT)
            before = step.saved
            await consumer.save(step, 2)
            await consumer.complete_step(step)
            return before, step.saved

    assert asyncio.run(later()) == ({"page": 1}, 2)


def test_consumer_whose_claim_is_lost_cannot_save(app: FleetQ) -> None:
    """Only the checkpoint can tell the consumer's pod."""
    app.use(settings=replace(RARE_HEARTBEATS, pod_id=None))
    step_id = app.submit({})
    with app.consumer() as consumer:
        (step,) = consumer.claim_steps(wait=LIMIT)
        app.cancel(step_id)
        with pytest.raises(ClaimLost):
            consumer.save(step, 1)
        wait_until(lambda: step.is_lost)


def test_progress_is_shown_until_the_step_is_completed(app: FleetQ) -> None:
    """Only a heartbeat takes it along."""
    proceed = threading.Event()

    @app.task("load")
    def load() -> None:
        current_step().progress(0.25, "loading 1 of 4")
        current_step().progress(0.5, "loading 2 of 4")
        assert proceed.wait(LIMIT)

    async def main() -> None:
        async with app.running():
            step_id = load.submit()
            await asyncio.to_thread(wait_until, lambda: app.status(step_id).progress is not None)
            assert app.status(step_id).progress == {"fraction": 0.5, "text": "loading 2 of 4"}
            (row,) = app.steps().steps
            assert row.progress == {"fraction": 0.5, "text": "loading 2 of 4"}
            version = len(app.history(step_id))
            proceed.set()
            step = await asyncio.to_thread(app.wait, step_id, LIMIT)
            assert (step.progress, version) == (None, 2)

    asyncio.run(main())


def test_async_function_reports_progress(app: FleetQ) -> None:
    proceed = asyncio.Event()

    @app.task("load")
    async def load() -> None:
        current_step().progress(text="loading")
        await proceed.wait()

    async def main() -> None:
        async with app.running():
            step_id = load.submit()
            await asyncio.to_thread(wait_until, lambda: app.status(step_id).progress is not None)
            assert app.status(step_id).progress == {"fraction": None, "text": "loading"}
            proceed.set()
            await asyncio.to_thread(app.wait, step_id, LIMIT)

    asyncio.run(main())


@pytest.mark.slow
def test_function_in_a_process_reports_progress(tmp_path: Path) -> None:
    module.app.use(settings=QUICK)
    go = tmp_path / "go"

    async def main() -> None:
        async with module.app.running():
            step_id = module.app.submit({"task_type": "reports", "path": str(go)})
            await asyncio.to_thread(
                wait_until, lambda: module.app.status(step_id).progress is not None
            )
            assert module.app.status(step_id).progress == {"fraction": 0.5, "text": "half"}
            go.touch()
            await asyncio.to_thread(module.app.wait, step_id, LIMIT)

    asyncio.run(main())


def test_consumer_reports_progress(app: FleetQ) -> None:
    step_id = app.submit({})
    with app.consumer() as consumer:
        (step,) = consumer.claim_steps(wait=LIMIT)
        step.progress(1 / 4)
        wait_until(lambda: app.status(step_id).progress is not None)
        assert app.status(step_id).progress == {"fraction": 0.25, "text": None}


@pytest.mark.parametrize(
    ("fraction", "text", "message"),
    [
        (1.5, None, "fraction must be a number from 0 to 1, not 1.5"),
        (float("nan"), None, "fraction must be a number from 0 to 1, not nan"),
        (True, None, "fraction must be a number from 0 to 1, not True"),
        (None, 7, "the text of the progress must be a string, not 7"),
    ],
)
def test_invalid_progress_is_rejected(fraction: Any, text: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{message}$"):
        progress_json(fraction, text)


def test_text_of_progress_is_limited() -> None:
    assert progress_json(None, "x" * 200) == f'{{"fraction":null,"text":"{"x" * 200}"}}'


def test_invalid_progress_fails_only_its_step(app: FleetQ) -> None:
    @app.task("wrong", max_retries=0)
    def wrong(**progress: Any) -> None:
        current_step().progress(**progress)

    ids = [wrong.submit(text="x" * 201), wrong.submit(fraction=2), wrong.submit(fraction=1)]
    too_long, too_far, right = asyncio.run(ended(app, ids))
    assert too_long.error == (
        "InvalidInput: the text of the progress has 201 characters; the limit is 200"
    )
    assert too_far.error == "InvalidInput: fraction must be a number from 0 to 1, not 2"
    assert right.status == "completed"
