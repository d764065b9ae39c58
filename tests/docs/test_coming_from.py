"""The programs of the pages for users of other queues run as they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from fleet_q import FleetQ
from fleet_q.services.worker.loop_thread import LoopThread
from tests.docs import DOCS, text_of
from tests.services.conftest import QUICK
from tests.waiting import LIMIT, wait_until


def program(page: str) -> dict[str, Any]:
    """The names that the page's program for FLEET-Q defines."""
    names: dict[str, Any] = {}
    blocks = re.findall(r"^```python\n# FLEET-Q\n(.*?)^```$", text_of(DOCS / page), re.M | re.S)
    (source,) = blocks
    exec(source, names)
    names["app"].use(settings=QUICK)
    return names


@pytest.fixture(autouse=True)
def _folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def result_of(app: FleetQ, task_type: str) -> object:
    """The result of the only step of this type."""
    (row,) = app.steps(task_type=[task_type]).steps
    return app.wait(row.step_id, LIMIT).result


def test_program_for_users_of_celery_collects_the_results() -> None:
    names = program("from-celery.md")
    app: FleetQ = names["app"]
    with LoopThread() as thread, app.running_on(thread.loop):
        workflow_id = names["submit"]("a", ["one", "two"])
        assert app.workflows.wait(workflow_id, LIMIT) == "completed"
        assert result_of(app, "publish") == {"a": ["one@200", "two@200"]}
    app.close()


def test_program_for_users_of_airflow_makes_a_workflow_when_it_is_triggered() -> None:
    app: FleetQ = program("from-airflow.md")["app"]
    with LoopThread() as thread, app.running_on(thread.loop):
        wait_until(app.schedules.all)  # the pod makes them when it has joined
        step = app.wait(app.schedules.trigger("nightly"), LIMIT)
        assert app.workflows.wait(step.result, LIMIT) == "completed"
        assert result_of(app, "report") == len("berlin") + len("paris")
    app.close()


def test_program_for_users_of_oban_sends_one_invoice_at_a_time() -> None:
    names = program("from-oban.md")
    app: FleetQ = names["app"]
    step_id = names["submit"]("c7", delay=0)
    assert names["submit"]("c7") == step_id
    with LoopThread() as thread, app.running_on(thread.loop):
        assert app.wait(step_id, LIMIT).result == "sent to c7"
    app.close()
