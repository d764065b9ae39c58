"""The report of the demo and its exit."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from fleet_q.core.audit import Audit
from fleet_q.core.errors import FleetQError
from fleet_q.services.cli.demo import demo
from fleet_q.services.cli.demo.demo import Report, run_demo

GOOD = Report(
    steps=100,
    killed_pod="pod-2",
    orphaned=3,
    audit=Audit(steps=100, completed=98, failed=2, retried=5, recovered=3),
    tables_equal_log=True,
    seconds=1.0,
)


def _but(**changes: Any) -> Report:
    return msgspec.structs.replace(GOOD, **changes)


BAD = {
    "was claimed twice": _but(audit=Audit(steps=100, faults=["step-1 was claimed twice"])),
    "100 steps were submitted, but the log has 99": _but(audit=Audit(steps=99)),
    "1 steps are not final": _but(audit=Audit(steps=100, unfinished=1)),
    "the killed pod had claimed no step": _but(orphaned=0),
    "the tables differ from the log": _but(tables_equal_log=False),
}


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("fault", BAD)
def test_violated_guarantee_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fault: str, as_json: bool
) -> None:
    monkeypatch.setattr(demo, "_run", lambda *_, **__: BAD[fault])
    with pytest.raises(FleetQError, match=f"the demo found faults: .*{fault}"):
        run_demo(100, as_json)
    out = capsys.readouterr().out
    assert "no step was lost" not in out
    if as_json:
        assert len(json.loads(out)["faults"]) == 1


def test_demo_without_a_fault_reports_that_no_step_was_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "_run", lambda *_, **__: GOOD)
    run_demo(100, False)
    assert "no step was lost" in capsys.readouterr().out
