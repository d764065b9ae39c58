"""The demo's verdict."""

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
    "100 steps were submitted and 99 are there": _but(audit=Audit(steps=99)),
    "1 steps never ended": _but(audit=Audit(steps=100, unfinished=1)),
    "no step was held": _but(orphaned=0),
    "the tables are not what the log adds up to": _but(tables_equal_log=False),
}


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("fault", BAD)
def test_a_promise_that_was_broken_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fault: str, as_json: bool
) -> None:
    monkeypatch.setattr(demo, "_run", lambda *_, **__: BAD[fault])
    with pytest.raises(FleetQError, match=f"the demo found faults: .*{fault}"):
        run_demo(100, as_json)
    out = capsys.readouterr().out
    assert "nothing was lost" not in out
    if as_json:
        assert len(json.loads(out)["faults"]) == 1


def test_without_a_fault_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "_run", lambda *_, **__: GOOD)
    run_demo(100, False)
    assert "nothing was lost" in capsys.readouterr().out
