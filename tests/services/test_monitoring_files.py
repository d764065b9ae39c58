"""The files in ``deploy/monitoring`` name only metrics that are served, and alerts fire in time."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.docs import DOCS, ROOT, first_cells

FOLDER: Final = ROOT / "deploy" / "monitoring"
ALERTS: Final = FOLDER / "alerts.yml"
PROMTOOL: Final = shutil.which("promtool")

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool comes with Prometheus")


def panels() -> list[dict[str, Any]]:
    """The panels of the dashboard."""
    dashboard = json.loads((FOLDER / "grafana.json").read_text())
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[str]:
    """All expressions of both files."""
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    for panel in panels():
        yield from (target["expr"] for target in panel["targets"])


def promtool(*words: str) -> str:
    """What a command of promtool prints. Fails if it finds something wrong."""
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_rules_and_panels_name_only_metrics_that_are_served() -> None:
    tables = ("Metrics of the pod", "Metrics of the fleet")  # compared with what is served
    rows = [cells for table in tables for cells in first_cells(DOCS / "monitoring.md", table)]
    served = set()
    for name, kind, *_ in rows:
        ends = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        served |= {name.strip("`") + end for end in ends}
    named = {name for text in expressions() for name in re.findall(r"\bfleet_q_\w+", text)}
    assert named - served == set()
    assert len(named) > 25


def test_panels_have_distinct_ids_and_places() -> None:
    assert len({panel["id"] for panel in panels()}) == len(panels())
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels()}
    assert len(places) == len(panels())


@needs_promtool
def test_promtool_finds_nothing_wrong_with_the_alert_rules() -> None:
    assert "SUCCESS: 10 rules found" in promtool("check", "rules", str(ALERTS))


@needs_promtool
def test_promtool_parses_the_expressions_of_the_panels(tmp_path: Path) -> None:
    found = [target["expr"] for panel in panels() for target in panel["targets"]]
    texts = [text.replace("$__rate_interval", "5m") for text in found]
    rules = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(texts)]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", "--lint=none", str(file))


@needs_promtool
def test_alerts_fire_in_time(tmp_path: Path) -> None:
    for path in (ALERTS, Path(__file__).with_name("alerts_test.yml")):
        shutil.copy(path, tmp_path)
    promtool("test", "rules", str(tmp_path / "alerts_test.yml"))
