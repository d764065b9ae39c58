"""``process=True`` functions of apps in scripts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Script = Callable[[str], tuple[list[str], str]]

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

HEAD = """
import asyncio
from fleet_q import FleetQ, Settings

settings = Settings(heartbeat_interval=0.1, claim_interval=0.05, max_retries=0)

async def run(app, payload):
    async with app.running():
        step = await asyncio.to_thread(app.wait, app.submit(payload), 300)
        print(step.status, step.result, step.error)
"""

AT_THE_TOP = """
app = FleetQ("memory://", settings=settings)

@app.task("named", process=True)
def named(n):
    return n

app.task("lambda", process=True)(lambda n: n + 1)

if __name__ == "__main__":
    asyncio.run(run(app, {"task_type": "named", "n": 1}))
    asyncio.run(run(app, {"task_type": "lambda", "n": 1}))
"""

IN_A_FUNCTION_THAT_AN_IMPORT_CALLS = """
def create():
    app = FleetQ("memory://", settings=settings)

    @app.task("local", process=True)
    def local():
        return "local"

    return app

apps = [create(), create()]

if __name__ == "__main__":
    asyncio.run(run(apps[1], {"task_type": "local"}))
"""

UNDER_THE_GUARD = """
def named():
    return "named"

if __name__ == "__main__":
    app = FleetQ("memory://", settings=settings)
    app.task("named", process=True)(named)
    asyncio.run(run(app, {"task_type": "named"}))
    app.task("lambda", process=True)(lambda: None)
"""

WITHOUT_A_GUARD = """
app = FleetQ("memory://", settings=settings)
app.task("lambda", process=True)(lambda: None)
asyncio.run(run(app, {"task_type": "lambda"}))
"""


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Run a script. Returns the lines of its stdout and the last line of its stderr."""

    def script(text: str) -> tuple[list[str], str]:
        (tmp_path / "script.py").write_text(HEAD + text)
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        completed = subprocess.run(
            [sys.executable, "script.py"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
        return completed.stdout.splitlines(), (completed.stderr.splitlines() or [""])[-1]

    return script


def test_child_process_finds_tasks_of_a_script(script: Script) -> None:
    assert script(AT_THE_TOP) == (["completed 1 None", "completed 2 None"], "")


def test_child_process_finds_task_of_an_app_that_an_import_creates_in_a_function(
    script: Script,
) -> None:
    assert script(IN_A_FUNCTION_THAT_AN_IMPORT_CALLS) == (["completed local None"], "")


def test_lambda_under_the_main_guard_is_rejected_and_named_function_is_found(
    script: Script,
) -> None:
    printed, last = script(UNDER_THE_GUARD)
    assert printed == ["completed named None"]
    assert "task 'lambda': a child process finds a function by its name" in last


def test_script_that_runs_its_pod_on_import_fails_the_step(script: Script) -> None:
    (printed,), _ = script(WITHOUT_A_GUARD)
    assert printed.startswith("failed None importing the task in a process failed")
    assert "put the code that runs the pod under if __name__" in printed
