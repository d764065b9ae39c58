"""The lists of columns that statements include, in both dialects, derived from :class:`Rows`.

``*_names`` are for writing, ``*_columns`` for reading: a row is read in the order of its columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

from fleet_q.sql.render import WIDTH, ColumnList

Type = Literal["text", "number", "boolean", "time"]
Columns = Mapping[str, Type]
"""The names of columns, in order, and their types. Times are microseconds since the Unix epoch."""

Lists = Mapping[str, ColumnList]


class Effect(NamedTuple):
    """The effect of an event on a step: the new status, and for each other changed column one of
    ``from event`` (the event's value), ``from event, else unchanged``, ``null``, ``zero`` and
    ``incremented``."""

    status: str
    columns: Mapping[str, str]


class Rows(NamedTuple):
    """The columns of the tables, and how events change them.

    ``step``, ``pod``, ``queue``, ``schedule`` and ``alert`` are the columns of the tables,
    ``step_event``,
    ``pod_event``, ``queue_event`` and ``schedule_event`` those of their logs. ``facts`` has,
    for each type of event, its own columns of the step log, and ``effects`` its effect on a
    step. ``submission`` and ``outcome`` are the fields of the commands that submit and
    acknowledge steps. ``summary`` are the columns of a step that a list shows, and ``workflow``
    those that a workflow shows.
    """

    step: Columns
    pod: Columns
    step_event: Columns
    pod_event: Columns
    queue: Columns
    queue_event: Columns
    schedule: Columns
    alert: Columns
    schedule_event: Columns
    facts: Mapping[str, Sequence[str]]
    effects: Mapping[str, Effect]
    submission: Columns
    outcome: Columns
    summary: Columns
    workflow: Columns

    @property
    def changing(self) -> list[str]:
        """The columns of a step that events change, without ``version`` and ``last_update_ts``."""
        changed = {column for effect in self.effects.values() for column in effect.columns}
        return [column for column in self.step if column in changed or column == "status"]

    @property
    def from_event(self) -> list[str]:
        """The columns of a step that some event sets to a value of its own."""
        return [
            column
            for column in self.step
            if any(
                effect.columns.get(column, "").startswith("from event")
                for effect in self.effects.values()
            )
        ]


_TABLES: Final = (
    "step", "pod", "queue", "schedule", "alert",
    "step_event", "pod_event", "queue_event", "schedule_event",
)  # fmt: skip


def sqlite(rows: Rows) -> Lists:
    """The lists for SQLite's statements. Bound values have the names of their columns."""
    lists: dict[str, ColumnList] = {}
    for table in _TABLES:
        columns: Columns = getattr(rows, table)
        lists[f"{table}_columns"] = lists[f"{table}_names"] = _same(columns)
        lists[f"{table}_values"] = _each(columns, ":{}")
    lists["summary_columns"] = _each(rows.summary, "step.{}")
    lists["workflow_columns"] = _each(rows.workflow, "step.{}")
    for event, fact in rows.facts.items():
        lists[f"{event}_names"] = _same(fact)
        lists[f"{event}_values"] = _each(fact, ":{}")
    changes = [*rows.changing, "last_update_ts", "version"]
    lists["step_changes"] = _each(changes, ":{}", _ASSIGNED)
    others = [column for column in rows.step if column != "step_id"]
    lists["step_from_excluded"] = _each(others, "excluded.{}", _ASSIGNED)
    return lists


def snowflake(rows: Rows) -> Lists:
    """The lists for Snowflake's statements, in which rows of the tables have the aliases ``step``,
    ``pod``, ``queue``, ``schedule`` and ``alert``."""
    lists: dict[str, ColumnList] = {}
    for table in _TABLES:
        columns: Columns = getattr(rows, table)
        alias = "" if table.endswith("_event") else f"{table}."
        lists[f"{table}_names"] = _same(columns)
        lists[f"{table}_columns"] = ColumnList(
            {column: _read(alias + column, type_) for column, type_ in columns.items()}
        )
        lists[f"{table}_nulls"] = _each(columns, "NULL")
        lists[f"{table}_values"] = ColumnList(
            {
                column: _from_json(f"{table}.value[{place}]", type_)
                for place, (column, type_) in enumerate(columns.items())
            }
        )
    for name in ("summary", "workflow"):
        shown: Columns = getattr(rows, name)
        lists[f"{name}_names"] = _same(shown)
        lists[f"{name}_columns"] = ColumnList(
            {column: _read(f"step.{column}", type_) for column, type_ in shown.items()}
        )
    submitted = rows.facts["submitted"]
    lists["submitted_names"] = _same(submitted)
    lists["submitted_values"] = ColumnList(
        {
            column: _from_json(f"new.value:{column}", rows.submission[column])
            if column in rows.submission
            else None
            for column in submitted
        }
    )
    replaced = rows.facts["replaced"]
    lists["replaced_changes"] = _each(replaced, "change.{}", _ASSIGNED)
    lists["replaced_values"] = ColumnList(
        {
            column: _from_json(f"value:{column}", rows.submission[column])
            if column in rows.submission
            else None
            for column in replaced
        },
        _NAMED,
    )
    lists["outcome_values"] = ColumnList(
        {column: _from_json(f"value:{column}", type_) for column, type_ in rows.outcome.items()},
        _NAMED,
    )
    from_event = rows.from_event
    lists["event_values"] = _each(from_event, "NULL", _NAMED)
    lists["outcome_event_values"] = ColumnList(
        {
            column: f"outcome.{column}" if column in rows.outcome else "NULL"
            for column in from_event
        },
        _NAMED,
    )
    facts = list(dict.fromkeys(column for fact in rows.facts.values() for column in fact))
    lists["fact_names"] = _same(facts)
    lists["fact_values"] = ColumnList({column: _of_fact(column, rows.facts) for column in facts})
    lists["effects"] = ColumnList(
        {column: _after(column, rows.effects) for column in rows.changing}, _ASSIGNED
    )
    return lists


_NAMED: Final = "{value} AS {column}"
_ASSIGNED: Final = "{column} = {value}"

_TYPES: Final[Mapping[Type, str]] = {
    "text": "VARCHAR",
    "number": "NUMBER(38, 0)",
    "boolean": "BOOLEAN",
    "time": "NUMBER(38, 0)",
}


def _same(columns: Mapping[str, object] | Sequence[str]) -> ColumnList:
    return _each(columns, "{}")


def _each(
    columns: Mapping[str, object] | Sequence[str], value: str, form: str = "{value}"
) -> ColumnList:
    return ColumnList({column: value.format(column) for column in columns}, form)


def _read(column: str, type_: Type) -> str:
    return f"DATE_PART(epoch_microsecond, {column})" if type_ == "time" else column


def _from_json(value: str, type_: Type) -> str:
    cast = f"{value}::{_TYPES[type_]}"
    return f"TO_TIMESTAMP_LTZ({cast}, 6)" if type_ == "time" else cast


def _of_fact(column: str, facts: Mapping[str, Sequence[str]]) -> str:
    """A column of the log, derived from the row that the change ``change_type`` wrote."""
    events = [event for event, fact in facts.items() if column in fact]
    text = f"CASE WHEN {_is('change_type', events)} THEN {column} END"
    return text if len(text) < WIDTH - 20 else text.replace(" THEN", "\n    THEN")


def _after(column: str, effects: Mapping[str, Effect]) -> str:
    """A column of a step after ``change``. The status after an unknown type of event is NULL, which
    the table rejects."""
    if column == "status":
        cases = (f"    WHEN '{event}' THEN '{e.status}'\n" for event, e in effects.items())
        return f"CASE change.type\n{''.join(cases)}END"
    current = f"{{step_tracker}}.{column}"
    values = {
        "from event": f"change.{column}",
        "from event, else unchanged": f"COALESCE(change.{column}, {current})",
        "null": "NULL",
        "zero": "0",
        "incremented": f"{current} + 1",
    }
    text = "CASE"
    for becomes, value in values.items():
        events = [e for e, effect in effects.items() if effect.columns.get(column) == becomes]
        if events:
            text += f"\n    WHEN {_is('change.type', events)} THEN {value}"
    return f"{text}\n    ELSE {current}\nEND"


def _is(value: str, events: Sequence[str]) -> str:
    texts = [f"'{event}'" for event in events]
    return f"{value} = {texts[0]}" if len(texts) == 1 else f"{value} IN ({', '.join(texts)})"
