"""The example of docs/workflows.md runs as it is."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from fleet_q import FleetQ
from tests.docs import DOCS, text_of
from tests.services.conftest import QUICK, ended


def example() -> str:
    """The first example that makes an app."""
    blocks: list[str] = re.findall(
        r"^```python\n(.*?)^```$", text_of(DOCS / "workflows.md"), re.DOTALL | re.MULTILINE
    )
    return next(block for block in blocks if "FleetQ(" in block)


def test_nightly_workflow_loads_what_its_parts_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(example(), names)
    app: FleetQ = names["app"]
    app.use(settings=QUICK)
    workflow_id = names["submit_nightly"]("2026-11-28")

    steps = {row.task_type: row.step_id for row in app.steps(workflow_id=workflow_id).steps}
    (step,) = asyncio.run(ended(app, [steps["report"]]))
    assert step.status == "completed"
    assert capsys.readouterr().out == "2026-11-28: 2900\n"
    app.close()
