"""The examples of docs/by-hand.md run as they are."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from fleet_q import FleetQ
from tests.docs import DOCS, text_of

PAGE = DOCS / "by-hand.md"


def examples(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text_of(PAGE), re.DOTALL | re.MULTILINE)


def test_examples_in_python_end_the_steps_that_they_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = FleetQ("sqlite:///jobs.db")
    loop, with_step, coroutine = examples("python")
    names: dict[str, Any] = {}

    good, bad = app.submit_many([{"file": "a.csv"}, {"path": "b.csv"}])
    exec(loop, names)
    assert app.status(good).result == {"rows": 5}
    assert app.status(bad).status == "failed"

    step_id = app.submit({"file": "c.csv"})
    exec(with_step, names)
    assert app.status(step_id).result == {"file": "c.csv"}

    step_id = app.submit({"file": "d.csv", "sheet": 2})
    exec(coroutine, names)
    asyncio.run(names["main"]())
    assert app.status(step_id).result == 2
    names["app"].close()
    app.close()
