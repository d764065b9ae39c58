"""The crash test accepts the right ends of a pod's process and no others."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.crash import exits
from tests.crash.fleet import PodProcess
from tests.crash.plan import Act, Outage, Stop, draw

LEFT = "2026-11-28 07:10:56.107 - pod - INFO - left the fleet"
NOT_CONFIRMED = f"fleet-q: the grace is over and {exits.NOT_CONFIRMED} 'pod-0' left"
STOP, OUTAGE = Stop(0, None, 0.0), Outage(1.0)


@pytest.mark.parametrize(
    ("code", "told", "last", "acts", "is_right"),
    [
        (0, ["SIGTERM"], LEFT, [STOP], True),
        (0, [], LEFT, [STOP], False),
        (1, ["SIGTERM"], NOT_CONFIRMED, [STOP, OUTAGE], True),
        (1, ["SIGTERM"], NOT_CONFIRMED, [STOP], False),
        (1, [], NOT_CONFIRMED, [OUTAGE], False),
        (1, ["SIGTERM"], "fleet-q: something else", [STOP, OUTAGE], False),
    ],
)
def test_exit_code_and_last_log_line_must_fit_what_was_done_to_the_pod(
    tmp_path: Path, code: int, told: list[str], last: str, acts: list[Act], is_right: bool
) -> None:
    log = tmp_path / "pod-0.0.log"
    log.write_text(f"pod-0 starts\n{last}\n")
    popen = subprocess.Popen([sys.executable, "-c", f"raise SystemExit({code})"], process_group=0)
    popen.wait()
    plan = replace(draw("snowflake", 1), acts=tuple((0.0, act) for act in acts))
    faults = exits.faults([PodProcess("pod-0", popen, log, told=told)], plan, [])
    assert (faults == []) is is_right
