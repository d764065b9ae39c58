"""Renders statements: fills in the texts that they include, and their lists of columns.

A file names a list in braces: ``SELECT {step_columns} FROM step_tracker``. The lists come from
:mod:`fleet_q.sql.lists`, so a new column changes no file. Values of single columns can be
replaced::

    SELECT {step_columns with payload = NULL; error = substr(error, 1, 80)}

Double braces include another file: ``WHERE {{is_due}}``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

WIDTH: Final = 100

_LIST: Final = re.compile(r"\{(\w+)(?:\s+with\b((?:[^{}]|\{\w*\})*))?\}")
_INCLUDE: Final = re.compile(r"\{\{(\w+)\}\}")
_COMMENT: Final = re.compile(r"^\s*--.*\n", re.MULTILINE)
_VALUE: Final = re.compile(
    r"(?<![\w:]):([a-z_]+)"
)  # neither the : of a JSON path nor the :: of a cast


class UnknownColumn(Exception):
    """A statement names a list or column that does not exist, or gives no value for a column."""


class UnknownFile(Exception):
    """A statement includes a file that does not exist."""


class ColumnList(NamedTuple):
    """A list of columns: for each the SQL of its value, or ``None`` if the statement must provide
    it. ``form`` is the format of an item."""

    values: Mapping[str, str | None]
    form: str = "{value}"


def include(text: str, texts: Mapping[str, str]) -> str:
    """The text with the ``texts`` that it includes, without their comments and indented like the
    line. They may include others. Raises :class:`UnknownFile`."""

    def included(match: re.Match[str]) -> str:
        if match[1] not in texts:
            raise UnknownFile(f"there is no file {match[1]!r} to include")
        line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        indent = " " * (len(line) - len(line.lstrip()))
        return without_comments(include(texts[match[1]], texts)).replace("\n", f"\n{indent}")

    return _INCLUDE.sub(included, text)


def without_comments(text: str) -> str:
    """The text without the lines that are comments."""
    return _COMMENT.sub("", text + "\n").strip()


def with_names(text: str, names: Mapping[str, str]) -> str:
    """The text with each of ``names`` in braces replaced by its value; others are left alone."""
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def render(text: str, lists: Mapping[str, ColumnList]) -> str:
    """The statement with its lists filled in. Other names in braces are left alone.

    Raises :class:`UnknownColumn`.
    """

    def filled_in(match: re.Match[str]) -> str:
        name, replaced = match.groups()
        if name not in lists:
            if replaced is not None:
                raise UnknownColumn(f"there is no list of columns {name!r}")
            return match[0]
        line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        return _wrapped(_items(name, lists[name], replaced or ""), line)

    return _LIST.sub(filled_in, text)


def by_place(text: str, order: Sequence[str]) -> str:
    """An SQLite statement with positional values: each ``:name`` becomes ``?n``, where ``n`` is the
    position of the name in ``order``, from 1. Raises :class:`UnknownColumn`."""
    return _by_place(text, order, 1)


def rows_by_place(text: str, order: Sequence[str], rows: int) -> str:
    """An SQLite statement that inserts so many ``rows``, made of one that ends with the ``VALUES``
    of one row. Its values are positional, as in :func:`by_place`, row after row."""
    head, keyword, row = text.rstrip().rpartition("VALUES")
    all_rows = (_by_place(row, order, 1 + number * len(order)) for number in range(rows))
    return head + keyword + ",".join(all_rows)


def _by_place(text: str, order: Sequence[str], first: int) -> str:
    def place(match: re.Match[str]) -> str:
        if match[1] not in order:
            raise UnknownColumn(f"there is no value for :{match[1]}")
        return f"?{order.index(match[1]) + first}"

    return _VALUE.sub(place, text)


def with_question_marks(text: str) -> tuple[str, list[str]]:
    """The statement with a ``?`` for each value, and the names of the values in that order."""
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
    for column, sql in values.items():
        if sql is None:
            raise UnknownColumn(f"the list {name} needs a value for {column!r}")
    return [columns.form.format(column=column, value=value) for column, value in values.items()]


def _dedented(assignment: str) -> str:
    """An assignment without the indentation of its first line."""
    text = assignment.strip("\n").rstrip()
    margin = len(text) - len(text.lstrip())
    return re.sub(rf"^ {{0,{margin}}}", "", text, flags=re.MULTILINE)


def _wrapped(items: Sequence[str], line: str) -> str:
    """The items, separated by commas and wrapped at ``WIDTH`` characters. An item of several lines
    gets lines of its own. ``line`` is the text before the first item."""
    indent = " " * (len(line) - len(line.lstrip()) + (4 if line.strip() else 0))
    lines = [line]
    for item in items:
        is_first = lines[-1] == line
        room = WIDTH - len(lines[-1]) - len(", ,")
        if not is_first and (len(item) > room or "\n" in item + lines[-1]):
            lines[-1] += ","
            lines.append(indent + item.replace("\n", f"\n{indent}"))
        else:
            lines[-1] += ("" if is_first else ", ") + item.replace("\n", f"\n{indent}")
    return "\n".join(lines)[len(line) :]
