"""Whether each of the store's statements runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from snowflake.connector.errors import Error

from fleet_q.adapters.snowflake.probe.result import Found, described, fail, ok
from fleet_q.adapters.snowflake.probe.room import Probe, Room
from fleet_q.adapters.snowflake.statements import DIALECT, Statements
from fleet_q.adapters.statements import statements

SESSIONS: Final = 3
"""Sessions that run them side by side."""

_RUNS: Final = re.compile(r"(SELECT|WITH|INSERT|UPDATE|DELETE|MERGE)\b")
_PLACEHOLDER: Final = re.compile(r"\{\w+\}")

_NUMBERS: Final = {
    "limit": 1, "before": 0, "before_ts": 0, "version": 1, "last_heartbeat_ts": 0, "free": 0,
    "claim": 0, "events": 0, "changed": 0, "claimed": 0, "most_bytes": 1, "number": 0,
    "patience": 0, "own_claim": 0, "own_outcome_count": 0, "skip_pod_check": False,
    "max_running": 1, "max_running_per_key": 1, "rate_count": 1, "rate_period": 1, "tokens": 0,
    "paused": False, "begins_rate": False, "new_version": 1, "priority": 0,
    "submitted_from": 0, "submitted_before": 0, "joins": False, "state": 0, "window": 0,
    "step_version": 0, "since": 0, "until": 0, "look_until": 0, "moment": 0, "most": 1,
    "cursor_ts": 0, "cursor_version": 0,
}  # fmt: skip
_TEXTS: Final = (
    "pod_id", "incarnation", "change_id", "claim_token", "step_id", "before_id", "after", "error",
    "event_type", "queue", "changed_by", "id_prefix",
)  # fmt: skip
VALUES: Final[Mapping[str, Any]] = {**_NUMBERS, **dict.fromkeys(_TEXTS, "none")}
"""Values with which no statement finds a row, by the names in the statements; all other values are
JSON arrays, and these are empty."""


class _AllValues(dict[str, Any]):
    def __missing__(self, name: str) -> str:
        return "[]"


def runnable(tables: Statements) -> list[str]:
    """The names of the store's statements that a client can run."""
    return [
        name
        for name in sorted(statements(DIALECT))
        if _RUNS.match(text := tables.text(name)) and not _PLACEHOLDER.search(text)
    ]


def run_all(room: Room) -> Found:
    """Run each statement once."""
    all_names = runnable(room.store.session.statements)
    parts = [all_names[number::SESSIONS] for number in range(SESSIONS)]
    with ThreadPoolExecutor(SESSIONS) as threads:
        failed = [
            line for lines in threads.map(lambda part: _run(room, part), parts) for line in lines
        ]
    if failed:
        return fail(f"{len(failed)} of {len(all_names)} do not run: {'; '.join(sorted(failed))}")
    return ok(f"all {len(all_names)} run")


def _run(room: Room, part: Sequence[str]) -> list[str]:
    client, failed = room.client(), []
    for name in part:
        text, values = room.store.session.statements.bind(name, _AllValues(VALUES))
        try:
            client.execute(text, *values)
        except Error as error:
            failed.append(f"{name} ({described(error)})")
    return failed


PROBES: Final = (
    Probe(
        name="statements",
        expected="all run",
        why="A statement that Snowflake does not understand fails the call that needs it.",
        run=run_all,
        lane="store",
        seconds=14,
        statements=45,
        is_essential=True,
    ),
)
