"""Inserts new steps, many with one statement."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain
from operator import attrgetter
from typing import Any, Final

from msgspec.structs import astuple

from fleet_q.adapters.columns import ROWS
from fleet_q.adapters.statements import statements
from fleet_q.core.events import DEFAULT_QUEUE
from fleet_q.core.step import AT_ONCE, JSON_BLANKS, Submit, start_by, unique_until
from fleet_q.sql.render import by_place, rows_by_place

TOGETHER: Final = 20
"""Steps that one statement inserts. From row to row SQLite keeps its place in the indexes, which
halves the time of an insertion; more rows gain little, and take longer to prepare."""

_SQL: Final = statements("sqlite")
_DERIVED: Final = ("payload", "available_ts", "unique_until_ts", "start_by_ts")
_AS_SUBMITTED: Final = [name for name in ROWS.facts["submitted"] if name not in _DERIVED]
SUBMITTED: Final = ["step_id", "created_ts", "status", *_DERIVED, *_AS_SUBMITTED]
"""The columns of a new step that have values of their own."""

_as_submitted: Final = attrgetter(*_AS_SUBMITTED)
_NO_OPTIONS: Final = list(astuple(Submit("", ""))[8:])


class _Insertion:
    """Statements that insert steps and append their events. Values are bound by position, in the
    order of ``names``."""

    def __init__(self, insert: str, names: Sequence[str], append_one: str, append: str) -> None:
        self._one = by_place(_SQL[insert], names)
        self._many = rows_by_place(_SQL[insert], names, TOGETHER)
        self._append_one = by_place(_SQL[append_one], [*names, "pod_id"])
        self._append = _SQL[append]

    def run(
        self, connection: sqlite3.Connection, rows: Sequence[Sequence[Any]], by: str | None
    ) -> None:
        if len(rows) == 1:
            connection.execute(self._one, rows[0])
            connection.execute(self._append_one, (*rows[0], by))
            return
        few = len(rows) % TOGETHER
        for begin in range(0, len(rows) - few, TOGETHER):
            values = tuple(chain.from_iterable(rows[begin : begin + TOGETHER]))
            connection.execute(self._many, values)
        if few:
            connection.executemany(self._one, rows[-few:])
        connection.execute(self._append, {"pod_id": by, "count": len(rows)})


_ALL: Final = _Insertion("submit_step", SUBMITTED, "append_submission", "append_submissions")
_WITHOUT_OPTIONS: Final = _Insertion(
    "submit_plain_step",
    ["step_id", "created_ts", "payload", "available_ts", "priority", "max_retries", "task_type"],
    "append_plain_submission",
    "append_plain_submissions",
)


def insert(connection: sqlite3.Connection, new: Sequence[Submit], at: int, by: str | None) -> bool:
    """Insert steps at store time ``at`` and append their events, if they are independent;
    returns whether it did."""
    plain = [values for s in new if (values := _plain(s, at)) is not None]
    if len(plain) == len(new):
        _WITHOUT_OPTIONS.run(connection, plain, by)
        return True
    if not all(s.is_independent for s in new):
        return False
    values = [
        (s.step_id, at, "pending", s.payload.strip(JSON_BLANKS),
         at + s.delay if s.delay else AT_ONCE, unique_until(s, at), start_by(s, at),
         *_as_submitted(s))
        for s in new
    ]  # fmt: skip
    _ALL.run(connection, values, by)
    return True


def _plain(submit: Submit, at: int) -> Sequence[Any] | None:
    """The values of a step without options; ``None`` if it has any, or another may have its id."""
    step_id, payload, priority, retries, delay, unique, queue, task_type, *options = astuple(submit)
    if not unique or queue != DEFAULT_QUEUE or options != _NO_OPTIONS:
        return None
    available_ts = at + delay if delay else AT_ONCE
    return step_id, at, payload.strip(JSON_BLANKS), available_ts, priority, retries, task_type
