"""The crash test accepts the right ends of a pod's process, and looks for messages that exist."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from snowflake.connector.errors import OperationalError

from fleet_q.adapters.snowflake.errors import translated
from fleet_q.adapters.sqlite.errors import translation
from fleet_q.adapters.sqlite.files import deleted
from fleet_q.core.errors import IncarnationEnded
from fleet_q.core.step import Release, Step
from fleet_q.services.worker import signals
from fleet_q.services.worker.careful_log import wait_for_handlers
from fleet_q.services.worker.pod_log import PodLog
from tests.crash import exits
from tests.crash.fleet import PodProcess
from tests.crash.plan import Act, Outage, Stop, draw
from tests.waiting import LIMIT

LEFT = "2026-11-28 07:10:56.107 - pod - INFO - left the fleet"
NOT_CONFIRMED = f"fleet-q: the grace is over and {exits.NOT_CONFIRMED} 'pod-0' left"
STOP, OUTAGE = Stop(0, None, 0.0), Outage(1.0)


@pytest.mark.parametrize(
    ("code", "causes", "last", "acts", "is_right"),
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
    tmp_path: Path, code: int, causes: list[str], last: str, acts: list[Act], is_right: bool
) -> None:
    log = tmp_path / "pod-0.0.log"
    log.write_text(f"pod-0 starts\n{last}\n")
    popen = subprocess.Popen([sys.executable, "-c", f"raise SystemExit({code})"], process_group=0)
    popen.wait()
    plan = replace(draw("snowflake", 1), acts=tuple((0.0, act) for act in acts))
    faults = exits.faults([PodProcess("pod-0", popen, log, causes=causes)], plan, [])
    assert (faults == []) is is_right


def test_every_message_that_is_counted_is_logged_by_a_pod(caplog: pytest.LogCaptureFixture) -> None:
    """A count of a message that was reworded would be 0 without anybody noticing."""
    pod = PodLog("pod-0")
    step = Step("step", "claimed", 0, "{}", 0, 0, 0, 0, 0)
    for superseded in (False, True):
        pod.on_incarnation_ended(IncarnationEnded("pod-0", superseded=superseded))
    pod.on_recorded(Release("step", "token"), step, refused=True)
    pod.on_lost(step)
    pod.on_left(confirmed=False)
    for code, text in (
        (sqlite3.SQLITE_IOERR, "disk I/O error"),
        (sqlite3.SQLITE_BUSY, "database is locked"),
    ):
        error = sqlite3.OperationalError(text)
        error.sqlite_errorcode = code
        pod.on_store_unavailable(translation(Path("fleet.db"), error), 0.1)
    pod.on_store_unavailable(translated(OperationalError("no answer")), 0.1)

    assert wait_for_handlers(LIMIT)
    assert [name for name, part in exits.MESSAGES.items() if part not in caplog.text] == []


def test_messages_that_end_a_pod_are_those_of_the_product() -> None:
    assert exits.MOVED in deleted("fleet.db")
    assert f'"{exits.TOO_SLOW}' in Path(signals.__file__).read_text()
