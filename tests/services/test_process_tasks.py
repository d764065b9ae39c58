"""``process=True`` functions: they run in child processes, which can be killed."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fleet_q import FleetQ
from fleet_q.core.errors import InvalidInput
from fleet_q.services.app.views import StepView
from fleet_q.services.worker.runners import processes
from fleet_q.services.worker.runners.child_process import ChildProcess
from fleet_q.services.worker.runners.job import Job
from fleet_q.services.worker.runners.pool import Pool
from tests.services import library_of_functions as library
from tests.services import module_with_processes as module
from tests.services.conftest import QUICK, Run, ended
from tests.waiting import LIMIT, wait_until, wait_until_async, wait_until_ended

pytestmark = pytest.mark.slow


@pytest.fixture
def run() -> Run:
    """Run steps of the module's app, one after the other in one child process."""
    module.app.use(settings=replace(QUICK, max_processes=1))

    def run(*payloads: dict[str, Any]) -> list[StepView]:
        ids = [module.app.submit(payload, max_retries=0) for payload in payloads]
        return asyncio.run(ended(module.app, ids))

    return run


def test_child_processes_report_results_errors_crashes_and_timeouts(run: Run) -> None:
    pid, hang, crash, killed, refuse, odd, *left, half_built, forks, closes, submits, last = run(
        {"task_type": "pid"},
        {"task_type": "hang"},
        {"task_type": "crash"},
        {"task_type": "killed"},
        {"task_type": "refuse"},
        {"task_type": "odd"},
        {"task_type": "leave", "error": "SystemExit"},
        {"task_type": "leave", "error": "KeyboardInterrupt"},
        {"task_type": "half built"},
        {"task_type": "forks"},
        {"task_type": "closes"},
        {"task_type": "submits"},
        {"task_type": "pid"},
    )
    assert pid.result["pid"] != os.getpid()
    assert pid.result["attempt"] == 1
    assert (hang.status, hang.error) == ("failed", "TimeoutError: ran longer than 1 s")
    assert (crash.status, crash.error) == ("failed", "the process exited with code 7")
    assert (killed.error or "").startswith(
        "the process was ended by SIGKILL, perhaps by the kernel"
    )
    assert refuse.error == "PermanentFailure: no"
    assert "module_with_processes" in (refuse.traceback or "")
    assert "the result is not JSON" in (odd.error or "")
    assert [step.error for step in left] == ["SystemExit: bye", "KeyboardInterrupt: bye"]
    assert (half_built.status, forks.result) == ("failed", 1)
    assert "lost its connection" in (closes.error or "")
    assert "cannot use memory://" in (submits.error or "")
    assert last.result["pid"] != pid.result["pid"]


def test_cancelled_function_is_killed_with_the_programs_that_it_started(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid_file"
    module.app.use(settings=QUICK)

    async def main() -> None:
        async with module.app.running():
            step_id = module.app.submit({"task_type": "start", "pid_file": str(pid_file)})
            await asyncio.to_thread(wait_until, pid_file.exists)
            module.app.cancel(step_id)
            for pid in map(int, pid_file.read_text().split()):
                await asyncio.to_thread(wait_until_ended, pid)

    asyncio.run(main())


def test_child_process_runs_the_task_of_the_given_name(run: Run) -> None:
    names = ["square", "square again", "square twice", "lambda", "alike 1", "alike 2"]
    arguments = [{"n": 7}] * 3 + [{}] * 3
    payloads = zip(names, arguments, strict=True)
    steps = run(*({"task_type": name} | fields for name, fields in payloads))
    assert [step.result for step in steps] == [49, 49, [49, 49], "lambda", "one", "two"]


def test_child_process_is_reused_and_restored_between_steps(run: Run) -> None:
    disturbs, terminated = run({"task_type": "disturbs"}, {"task_type": "terminated"})
    assert terminated.result == [disturbs.result, True, -15]


def test_log_records_of_a_child_process_reach_the_handlers_of_its_pod(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (step,) = run({"task_type": "logs"})
    hello, careful = (record for record in caplog.records if record.name == "mine")
    assert hello.getMessage() == "hello\n" + "x" * 10_000
    tags = vars(hello)
    assert (tags["pod"], tags["step"], tags["attempt"]) == ("pod-1", step.step_id, 1)
    assert "ValueError: inner" in (careful.exc_text or "")


def test_child_process_finds_function_of_an_app_that_no_import_creates() -> None:
    app = FleetQ("memory://", settings=QUICK)
    task = app.task("square", process=True)(library.square)
    (step,) = asyncio.run(ended(app, [task.submit(n=3)]))
    assert step.result == 9


def test_task_that_a_child_process_cannot_find_fails_without_a_retry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = FleetQ("memory://", settings=QUICK)
    task = app.task("square", process=True)(library.square)
    monkeypatch.setattr(library, "square", lambda n: n)  # not the function that was registered
    (step,) = asyncio.run(ended(app, [task.submit(n=3)]))
    assert (step.status, step.retry_count) == ("failed", 0)
    assert (step.error or "").startswith("task 'square': a process cannot find it")


def test_function_that_no_child_process_can_find_is_rejected_at_registration(app: FleetQ) -> None:
    for function in (lambda: None, library.make("one")):
        with pytest.raises(InvalidInput, match="'t': a child process finds a function by its name"):
            app.task("t", process=True)(function)


def test_code_that_is_no_module_makes_no_function_findable(app: FleetQ) -> None:
    """Programs that run code by ``exec`` give it a module's name that nobody can import."""
    names = {"__name__": "no_module", "register": app.task("t", process=True)}
    with pytest.raises(InvalidInput, match="'t': a child process finds a function by its name"):
        exec("register(lambda: None)", names)


def test_step_waits_while_no_child_process_can_be_started(
    monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setattr(processes, "START_AGAIN_AFTER", 0.01)
    errors = [OSError(24, "Too many open files")] * 3
    take_child = Pool.take

    async def take(pool: Pool) -> Any:
        if errors:
            raise errors.pop()
        return await take_child(pool)

    loop_errors = errors.copy()
    new_loop = processes.new_loop

    def make_loop() -> Any:
        if loop_errors:
            raise loop_errors.pop()
        return new_loop()

    monkeypatch.setattr(Pool, "take", take)
    monkeypatch.setattr(processes, "new_loop", make_loop)
    (step,) = run({"task_type": "pid"})
    assert (step.result["attempt"], errors, loop_errors) == (1, [], [])


def test_step_fails_when_no_child_process_could_be_started_for_too_long(
    monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setattr(processes, "PATIENCE", 0)

    async def take(pool: Pool) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(Pool, "take", take)
    (step,) = run({"task_type": "pid"})
    assert step.error == "no process can be started: [Errno 24] Too many open files"


def test_runner_continues_after_an_exception_in_its_event_loop(
    monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    run_in_child = processes.Processes._run_in_child

    async def on_work(self: Any, *arguments: Any) -> Any:
        monkeypatch.setattr(processes.Processes, "_run_in_child", run_in_child)
        asyncio.get_running_loop().call_soon(_exit)
        return await run_in_child(self, *arguments)

    monkeypatch.setattr(processes.Processes, "_run_in_child", on_work)
    first, second = run({"task_type": "pid"}, {"task_type": "pid"})
    assert (first.status, second.status) == ("failed", "completed")


def test_timeout_starts_when_the_function_begins(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """Not when its process is started or imports the task."""
    order: list[str] = []
    run_in_child, report_began = ChildProcess.run, processes.Processes._report_began

    def sends(child: ChildProcess, *arguments: Any) -> Any:
        order.append("sent")
        return run_in_child(child, *arguments)

    def begins(runner: processes.Processes, job: Job) -> None:
        order.append("began")
        report_began(runner, job)

    monkeypatch.setattr(ChildProcess, "run", sends)
    monkeypatch.setattr(processes.Processes, "_report_began", begins)
    run({"task_type": "pid"})
    assert order == ["sent", "began"]


def test_import_that_takes_too_long_fails_the_step(
    monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setattr(processes, "IMPORT_WITHIN", 0)
    (step,) = run({"task_type": "pid"})
    assert (step.error or "").startswith("importing the task took longer than 0 s")


def test_steps_that_wait_for_a_child_process_are_released_and_run_later(tmp_path: Path) -> None:
    app, proceed = module.app, tmp_path / "proceed"
    app.use(settings=replace(QUICK, max_processes=1, recovery_interval=300))

    def was_released(step_id: str) -> bool:
        return any(event.type == "released" for event in app.history(step_id))

    async def main() -> None:
        async with app.running():
            app.submit({"task_type": "await file", "path": str(proceed)}, priority=1)
            ids = app.submit_many([{"task_type": "pid"}] * 3)
            await wait_until_async(lambda: any(map(was_released, ids)))
            proceed.touch()
            for step_id in ids:
                step = await asyncio.to_thread(app.wait, step_id)
                assert (step.status, step.result["attempt"]) == ("completed", 1)

    asyncio.run(main())


def test_death_of_an_idle_child_process_fails_no_step(run: Run) -> None:
    async def main() -> list[StepView]:
        async with module.app.running():
            steps = []
            for _ in range(2):
                step_id = module.app.submit({"task_type": "pid"}, max_retries=0)
                steps.append(await asyncio.to_thread(module.app.wait, step_id, LIMIT))
                os.kill(steps[-1].result["pid"], 9)
            return steps

    first, second = asyncio.run(main())
    assert second.result["pid"] != first.result["pid"]


def _exit() -> None:
    raise SystemExit
