"""The examples run as their pages say, those with tests of their own by these."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import Environment, FileSystemLoader
from starlette.testclient import TestClient

from fleet_q import FleetQ
from fleet_q.testing import isolated
from tests.examples import EXAMPLES


def run_pytest(example: str, arguments: Sequence[str]) -> str:
    """What pytest prints in the folder of an example."""
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=EXAMPLES.parent,
        env={**os.environ, "PYTHONPATH": str(EXAMPLES / example)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_service_sends_the_invoice_of_an_order_once_it_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = runpy.run_path(str(EXAMPLES / "fastapi_service" / "shop.py"))
    queue: FleetQ = names["queue"]
    with TestClient(names["service"]) as client:
        order = {"customer": "Ann", "amount": 12.5}
        order_id = client.post("/orders", json=order).json()["id"]
        queue.wait(f"invoice {order_id}", 300)
        answer = client.get(f"/orders/{order_id}")
        assert answer.text == '{"status":"completed","invoice":"Ann owes 12.50","error":null}'
        assert client.get("/orders/77").status_code == 404
    queue.close()


@pytest.mark.slow
def test_nightly_etl_passes_its_own_tests() -> None:
    assert "..." in run_pytest("nightly_etl", ["-n0", "examples/nightly_etl"])


@pytest.mark.slow
def test_store_of_ones_own_conforms() -> None:
    modules = ("submit", "claim", "sync", "acknowledge", "cancel_replay", "recovery", "prune")
    paths = [f"tests/conformance/test_{module}.py" for module in modules]
    assert " passed" in run_pytest("custom_store", ["-n0", "-v", "-p", "conformance", *paths])


def test_store_of_ones_own_has_its_steps_again_when_it_is_reopened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(EXAMPLES / "custom_store")
    journal: Any = __import__("journal")
    file = tmp_path / "jobs.journal"
    app = FleetQ(journal.JournalStore(file))
    kept, cancelled = app.submit_many([{"task_type": "a"}, {"task_type": "b"}])
    app.cancel(cancelled)
    app.close()
    with file.open("ab") as broken:
        broken.write(b"\x80\x05half a transaction")
    app = FleetQ(journal.JournalStore(file))
    assert (app.status(kept).status, app.status(cancelled).status) == ("pending", "cancelled")
    assert app.history(cancelled)[-1].type == "cancelled"
    app.close()


def rendered_hooks(results: Sequence[dict[str, str]]) -> list[str]:
    """The statements of dbt's hooks, rendered as dbt does."""
    folder = EXAMPLES / "dbt_hook"
    project = yaml.safe_load((folder / "dbt_project.yml").read_text())
    hooks = [project["models"]["shop"]["orders"]["+post-hook"], *project["on-run-end"]]
    jinja = Environment(loader=FileSystemLoader(folder / "macros"))
    jinja.globals |= {"var": project["vars"].get, "tojson": json.dumps}
    macros = "{% from 'submit_step.sql' import submit_step with context %}"
    this = {"name": "orders 'of' \"today\""}
    return [jinja.from_string(macros + hook).render(this=this, results=results) for hook in hooks]


def test_hooks_of_dbt_are_statements_that_escape_texts() -> None:
    export, ended = rendered_hooks([{"status": "error"}, {"status": "success"}])
    assert re.sub(r"\s+", " ", export) == (
        "INSERT INTO FLEET_Q.QUEUE.STEP_INBOX (task_type, payload, unique_key) SELECT 'export',"
        """ '{"model": "orders ''of'' \\\\"today\\\\""}', 'export orders ''of'' "today"'"""
    )
    assert ended.endswith("SELECT 'dbt ended', '{\"failed\": 1}', NULL")


def test_functions_of_the_dbt_example_take_what_its_hooks_submit() -> None:
    (source,) = re.findall(
        r"^```python\n(.*?)^```$", (EXAMPLES / "dbt_hook" / "README.md").read_text(), re.M | re.S
    )
    names: dict[str, Any] = {}
    exec(source, names)
    with isolated(names["app"]) as fleet:
        steps = [names["export"].submit(model="orders"), names["dbt_ended"].submit(failed=1)]
        fleet.drain()
        results = [names["app"].status(step_id).result for step_id in steps]
        assert results == ["exported orders", "1 models failed"]
