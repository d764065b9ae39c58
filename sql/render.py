"""Statements with their lists of columns written out.

A file names a list in braces: ``SELECT {step_columns} FROM step_tracker``. The lists are made of a
description of the rows (:mod:`fleet_q.sql.lists`), so a new column changes no file. Single values
of a list can be replaced::

    SELECT {step_columns with payload = NULL; error = substr(error, 1, 80)}
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

WIDTH: Final = 100

_LIST: Final = re.compile(r"\{(\w+)(?:\s+with\b((?:[^{}]|\{\w*\})*))?\}")
_VALUE: Final = re.compile(r"(?<![\w:]):([a-z_]+)")  # not the : of a path, nor :: of a cast


class UnknownColumn(Exception):
    """A statement names a list or a column that does not exist, or leaves one out."""


class ColumnList(NamedTuple):
    """A list of columns: the SQL of each one's value, or ``None`` if a statement has to say it.
    ``form`` is how one item is written."""

    values: Mapping[str, str | None]
    form: str = "{value}"


def render(text: str, lists: Mapping[str, ColumnList]) -> str:
    """The statement with its lists written out. Other names in braces stay as they are.

    Raises :class:`UnknownColumn`.
    """

    def written_out(match: re.Match[str]) -> str:
        name, replaced = match.groups()
        if name not in lists:
            if replaced is not None:
                raise UnknownColumn(f"there is no list of columns {name!r}")
            return match[0]
        line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        return _wrapped(_items(name, lists[name], replaced or ""), line)

    return _LIST.sub(written_out, text)


def by_place(text: str, order: Sequence[str]) -> str:
    """A statement of SQLite that is given rows: each ``:name`` becomes the place of the name in
    ``order``, ``?1`` for the first. Raises :class:`UnknownColumn`."""

    def place(match: re.Match[str]) -> str:
        if match[1] not in order:
            raise UnknownColumn(f"no value is given for :{match[1]}")
        return f"?{order.index(match[1]) + 1}"

    return _VALUE.sub(place, text)


def with_question_marks(text: str) -> tuple[str, list[str]]:
    """The statement with a ``?`` for each of its values, and the names of these in order."""
    return _VALUE.sub("?", text), _VALUE.findall(text)


def _items(name: str, columns: ColumnList, replaced: str) -> list[str]:
    values = dict(columns.values)
    for assignment in replaced.split(";"):
        column, is_assigned, value = _dedented(assignment).partition("=")
        column = column.strip()
        if is_assigned and column not in values:
            raise UnknownColumn(f"the list {name} has no column {column!r}")
        if is_assigned:
            values[column] = value.strip()
    for column, known in values.items():
        if known is None:
            raise UnknownColumn(f"the list {name} needs a value for {column!r}")
    return [columns.form.format(column=column, value=value) for column, value in values.items()]


def _dedented(assignment: str) -> str:
    """An assignment with its first line at the margin."""
    text = assignment.strip("\n").rstrip()
    margin = len(text) - len(text.lstrip())
    return re.sub(rf"^ {{0,{margin}}}", "", text, flags=re.MULTILINE)


def _wrapped(items: Sequence[str], line: str) -> str:
    """The items, separated by commas, in lines of at most ``WIDTH`` characters; an item of several
    lines stands alone. ``line`` is what stands in front of the first."""
    indent = " " * (len(line) - len(line.lstrip()) + (4 if line.strip() else 0))
    lines = [line]
    for item in items:
        begins = lines[-1] == line
        room = WIDTH - len(lines[-1]) - len(", ,")
        if not begins and (len(item) > room or "\n" in item + lines[-1]):
            lines[-1] += ","
            lines.append(indent + item.replace("\n", f"\n{indent}"))
        else:
            lines[-1] += ("" if begins else ", ") + item.replace("\n", f"\n{indent}")
    return "\n".join(lines)[len(line) :]
