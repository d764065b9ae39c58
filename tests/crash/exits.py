"""Checks of how the pods' processes ended, and of what they logged."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Collection
from typing import Final

from tests.crash.fleet import PodProcess
from tests.crash.plan import DiskFull, Duplicate, Hog, Plan, Stop
from tests.waiting import LIMIT

MOVED: Final = "was deleted, or replaced"
TOO_SLOW: Final = "the pod has not ended within its grace"
NOT_CONFIRMED: Final = "the store has not confirmed that pod"
SUPERSEDED: Final = "another process has joined as pod"

MESSAGES: Final = {
    "pods declared dead that came back": "was declared dead; it must join again",
    "pods superseded": SUPERSEDED,
    "outcomes rejected": "outcome rejected",
    "pods whose leaving was not confirmed": f"pod stops: the grace is over and {NOT_CONFIRMED}",
    "claims lost": "claim lost: ",
    "syncs that found the disk full": "disk I/O error; retrying in",
    "syncs that found the file locked": "database is locked; retrying in",
    "syncs that Snowflake did not answer": "Snowflake: ",
}
"""Parts of log lines that show the effect of a disturbance, by the name of their count."""

_STORE_ANSWERS: Final = (Stop, Duplicate)
"""The acts during which the store answers every pod. During the others it may not, if only because
a stopped process holds a lock."""

_TRACEBACK: Final = re.compile(r"^Traceback .*", re.MULTILINE | re.DOTALL)
_STARTING: Final = "in spawn_main"
"""Part of Python's traceback of a child process that was still starting when its pod ended."""


def faults(processes: list[PodProcess], plan: Plan, poisoned: Collection[int]) -> list[str]:
    """Faults in how the processes ended. ``poisoned``: the ids of those that a step killed."""
    faults = []
    left = _still_running({process.popen.pid for process in processes})
    for process in processes:
        output = process.output
        if not _is_right(process, plan, poisoned, output):
            last = output.strip().splitlines()[-1:] or ["no output"]
            code = process.popen.returncode
            faults.append(
                f"{process.log.name}: ended with {code} after {process.causes}: {last[0]}"
            )
        traceback = _TRACEBACK.search(output)
        if traceback and _STARTING not in traceback[0]:
            faults.append(f"{process.log.name}: {traceback[0]}")
        if process.popen.pid in left:
            faults.append(f"{process.log.name}: a process that it started is still running")
    return faults


def count(processes: list[PodProcess]) -> Counter[str]:
    """How often each of ``MESSAGES`` occurs in the logs of these processes."""
    logs = [process.output for process in processes]
    return Counter({name: sum(log.count(part) for log in logs) for name, part in MESSAGES.items()})


def _is_right(process: PodProcess, plan: Plan, poisoned: Collection[int], output: str) -> bool:
    code = process.popen.returncode
    last = (output.strip().splitlines() or [""])[-1]
    terms = process.causes.count("SIGTERM")
    acts = [type(act) for _, act in plan.acts]
    if code == -signal.SIGKILL:
        return "SIGKILL" in process.causes or process.popen.pid in poisoned
    if code == 0 or code == -signal.SIGTERM:  # the latter before it handled signals
        return terms > 0
    if code == 128 + signal.SIGTERM:
        return terms > 1
    if code == 1 and (TOO_SLOW in last or NOT_CONFIRMED in last):
        return terms > 0 and any(act not in _STORE_ANSWERS for act in acts)
    if code != 1 or not last.startswith("fleet-q: "):
        return False
    return (
        SUPERSEDED in last
        or ("move" in process.causes and MOVED in last)
        or (DiskFull in acts and ("disk I/O error" in last or "disk is full" in last))
        or (Hog in acts and "database is locked" in last)
    )


def _still_running(groups: set[int]) -> set[int]:
    """The process groups that still have processes after ``LIMIT`` seconds."""
    until = time.monotonic() + LIMIT
    while (left := groups & _groups()) and time.monotonic() < until:
        time.sleep(0.1)
    return left


def _groups() -> set[int]:
    """The groups of all processes but zombies."""
    ps = ["ps", "-A", "-o", "pgid=,stat="]
    lines = subprocess.run(ps, capture_output=True, text=True, check=True).stdout.splitlines()
    columns = (line.split() for line in lines)
    return {int(group) for group, state in columns if not state.startswith("Z")}
