"""Functions in processes of their own."""

from __future__ import annotations

import asyncio
import os

from tests.services import module_with_processes as module
from tests.services.conftest import QUICK, ended


def test_functions_in_processes_run_fail_crash_and_are_ended():
    module.app.use(settings=QUICK)
    names = ("pid", "hang", "crash", "refuse", "odd")
    ids = [module.app.submit({"task_type": name}, max_retries=0) for name in names]
    exits = ("SystemExit", "KeyboardInterrupt")
    ids += [module.app.submit({"task_type": "leave", "error": e}, max_retries=0) for e in exits]
    pid, hang, crash, refuse, odd, *left = asyncio.run(ended(module.app, ids))

    assert pid.result["pid"] != os.getpid()
    assert pid.result["attempt"] == 1
    assert (hang.status, hang.error) == ("failed", "TimeoutError: ran longer than 1 s")
    assert crash.status == "failed"
    assert "process ended" in crash.error
    assert refuse.error == "PermanentFailure: no"
    assert "module_with_processes" in refuse.traceback
    assert "the result is not JSON" in odd.error
    assert [step.error for step in left] == ["SystemExit: bye", "KeyboardInterrupt: bye"]
