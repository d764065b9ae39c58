"""Whether a pod's process ended as it should, and said what it should."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Collection
from typing import Final

from tests.crash.fleet import PodProcess
from tests.crash.plan import Full, Hog, Plan, Stop, Twin
from tests.waiting import LIMIT

MOVED: Final = "was deleted, or replaced"
TOO_SLOW: Final = "the pod has not ended within its grace"
NOT_CONFIRMED: Final = "the store has not confirmed that pod"
SUPERSEDED: Final = "another process has joined as pod"

TELLING: Final = {
    "pods declared dead that came back": "was declared dead; it has to join again",
    "pods superseded": SUPERSEDED,
    "outcomes rejected": "outcome rejected",
    "pods whose leaving was not confirmed": f"pod stops: the grace is over and {NOT_CONFIRMED}",
    "steps lost to others": "claim lost: ",
    "turns that found the disk full": "disk I/O error; retrying in",
    "turns that found the file locked": "database is locked; retrying in",
    "turns that Snowflake did not answer": "Snowflake: ",
}
"""What pods say when something has struck them, by what it is counted as."""

_HARMLESS: Final = (Stop, Twin)
"""The acts that keep no pod from an answer of its store. The others do, at least by a process that
is stopped or ends while it has a lock."""

_TRACEBACK: Final = re.compile(r"^Traceback .*", re.MULTILINE | re.DOTALL)
_STARTING: Final = "in spawn_main"
"""Python's own complaint of a function's process that had not started yet when its pod ended."""


def faults(processes: list[PodProcess], plan: Plan, poisoned: Collection[int]) -> list[str]:
    """What was wrong with the ends of these processes. ``poisoned`` are the ids of those that a
    step killed."""
    found = []
    left = _left({process.popen.pid for process in processes})
    for process in processes:
        words = process.words
        if not _is_right(process, plan, poisoned, words):
            last = words.strip().splitlines()[-1:] or ["no word"]
            code = process.popen.returncode
            found.append(f"{process.log.name}: ended with {code}, told {process.told}: {last[0]}")
        traceback = _TRACEBACK.search(words)
        if traceback and _STARTING not in traceback[0]:
            found.append(f"{process.log.name}: {traceback[0]}")
        if process.popen.pid in left:
            found.append(f"{process.log.name}: a process that it started has outlived it")
    return found


def count(processes: list[PodProcess]) -> Counter[str]:
    """How often something struck them, by their own words."""
    words = [process.words for process in processes]
    return Counter({what: sum(w.count(said) for w in words) for what, said in TELLING.items()})


def _is_right(process: PodProcess, plan: Plan, poisoned: Collection[int], words: str) -> bool:
    code = process.popen.returncode
    last = (words.strip().splitlines() or [""])[-1]
    terms = process.told.count("SIGTERM")
    acts = [type(act) for _, act in plan.acts]
    if code == -signal.SIGKILL:
        return "SIGKILL" in process.told or process.popen.pid in poisoned
    if code == 0 or code == -signal.SIGTERM:  # the latter before it had begun to live
        return terms > 0
    if code == 128 + signal.SIGTERM:
        return terms > 1
    if code == 1 and (TOO_SLOW in last or NOT_CONFIRMED in last):
        return terms > 0 and any(act not in _HARMLESS for act in acts)
    if code != 1 or not last.startswith("fleet-q: "):
        return False
    return (
        SUPERSEDED in last
        or ("move" in process.told and MOVED in last)
        or (Full in acts and ("disk I/O error" in last or "disk is full" in last))
        or (Hog in acts and "database is locked" in last)
    )


def _left(groups: set[int]) -> set[int]:
    """Those of the groups of processes that do not come to an end."""
    until = time.monotonic() + LIMIT
    while (left := groups & _groups()) and time.monotonic() < until:
        time.sleep(0.1)
    return left


def _groups() -> set[int]:
    """The groups of all processes that live."""
    ps = ["ps", "-A", "-o", "pgid=,stat="]
    lines = subprocess.run(ps, capture_output=True, text=True, check=True).stdout.splitlines()
    found = (line.split() for line in lines)
    return {int(group) for group, state in found if not state.startswith("Z")}
