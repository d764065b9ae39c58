"""Functions in processes of their own."""

from __future__ import annotations

import asyncio
import os

from fleet_q.services.views import StepView
from tests.processes.launcher import eventually
from tests.services import module_with_processes as module
from tests.services.conftest import QUICK


def test_functions_in_processes_run_fail_crash_and_are_ended(tmp_path):
    sign = tmp_path / "sign"
    module.app.use(settings=QUICK)
    payloads = [
        {"task_type": "pid"},
        {"task_type": "hang", "sign": str(sign)},
        {"task_type": "crash"},
        {"task_type": "refuse"},
        {"task_type": "odd"},
        {"task_type": "leave", "error": "SystemExit"},
        {"task_type": "leave", "error": "KeyboardInterrupt"},
    ]
    ids = [module.app.submit(payload, max_retries=0) for payload in payloads]

    async def main() -> list[StepView]:
        async with module.app.running():
            waiting = [asyncio.to_thread(module.app.wait, step_id, 30) for step_id in ids]
            steps = list(await asyncio.gather(*waiting))
            await asyncio.to_thread(eventually, lambda: not _lives(int(sign.read_text())))
            return steps

    pid, hang, crash, refuse, odd, *left = asyncio.run(main())

    assert pid.result["pid"] != os.getpid()
    assert pid.result["attempt"] == 1
    assert (hang.status, hang.error) == ("failed", "TimeoutError: ran longer than 1 s")
    assert (crash.status, crash.error) == ("failed", "the process exited with code 7")
    assert refuse.error == "PermanentFailure: no"
    assert "module_with_processes" in refuse.traceback
    assert "the result is not JSON" in odd.error
    assert [step.error for step in left] == ["SystemExit: bye", "KeyboardInterrupt: bye"]


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
