"""The start of a step on its last try is recorded before its function is called."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from fleet_q.adapters.sqlite.start_files import StartFile
from fleet_q.core.errors import StartNotRecorded
from fleet_q.core.step import Step
from fleet_q.services import FleetQ
from fleet_q.services.worker.runners.address import address_of, preparation
from fleet_q.services.worker.runners.child_process import ChildEnded, ChildProcess
from fleet_q.services.worker.runners.wire import Ended, Run, Saved, Start
from tests.services import library_of_functions as library
from tests.services.conftest import QUICK, ended


async def record_call_async(path: str) -> None:
    library.record_call(path)


@pytest.mark.parametrize(
    "where", ["thread", "event loop", pytest.param("process", marks=pytest.mark.slow)]
)
def test_step_whose_start_cannot_be_recorded_does_not_begin_and_is_released(
    where: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    calls = tmp_path / "calls"
    add, records = StartFile.add, []

    def refuse_once(file: StartFile, step_id: str, claim_token: str) -> None:
        records.append((step_id, calls.exists()))
        if len(records) == 1:
            raise StartNotRecorded("no")
        add(file, step_id, claim_token)

    monkeypatch.setattr(StartFile, "add", refuse_once)
    app = FleetQ(f"sqlite:///{tmp_path / 'jobs.db'}", settings=replace(QUICK, max_processes=1))
    register = app.task("record call", max_retries=0, process=where == "process")
    register(record_call_async if where == "event loop" else library.record_call)
    step_id = app.submit({"task_type": "record call", "path": str(calls)})
    (step,) = asyncio.run(ended(app, [step_id]))

    assert (step.status, step.retry_count) == ("completed", 0)
    events = [event.type for event in app.history(step_id)]
    assert events == ["submitted", "claimed", "released", "claimed", "completed"]
    assert records == [(step_id, False)] * 2
    assert calls.read_text() == "called\n"
    assert "released: its start could not be recorded" in caplog.text


class Child:
    """A child process and a step for it, whose function appends a line to the file ``calls``."""

    def __init__(self, calls: Path) -> None:
        app = FleetQ("memory://", settings=QUICK)
        task = app.task("record call", process=True)(library.record_call)
        payload = f'{{"task_type": "record call", "path": "{calls}"}}'
        step = Step("step", "claimed", 0, payload, 0, 0, 0, 0, 0, "pod", "life", "token")
        self._run = Run(step, address_of(task), asks_to_begin=True)
        self._has_ended = asyncio.Event()
        self.process = ChildProcess(lambda _: self._has_ended.set())

    @asynccontextmanager
    async def started(self) -> AsyncIterator[Child]:
        await self.process.start(Start("pod", QUICK, {}, preparation()))
        try:
            yield self
        finally:
            self.process.kill()
            await self._has_ended.wait()  # so that it cannot call the function later

    async def run(self, on_ready: Callable[[], None]) -> Ended:
        return await self.process.run(self._run, on_ready, lambda: None, lambda _: Saved(), str)


@pytest.mark.slow
def test_child_process_ends_without_a_call_if_the_start_cannot_be_recorded(tmp_path: Path) -> None:
    def refuse() -> None:
        raise StartNotRecorded("no")

    async def main() -> None:
        async with Child(tmp_path / "calls").started() as child:
            with pytest.raises(StartNotRecorded):
                await child.run(refuse)
            assert not child.process.is_open

    asyncio.run(main())
    assert not (tmp_path / "calls").exists()


@pytest.mark.slow
def test_child_process_that_loses_its_pod_before_it_may_begin_does_not_call_the_function(
    tmp_path: Path,
) -> None:
    """The start is recorded by then, so the function counts as begun, and is not called again."""

    async def main() -> None:
        async with Child(tmp_path / "calls").started() as child:
            with pytest.raises(ChildEnded, match="lost its connection") as raised:
                await child.run(child.process._writer.transport.abort)
            assert not raised.value.before_function

    asyncio.run(main())
    assert not (tmp_path / "calls").exists()
