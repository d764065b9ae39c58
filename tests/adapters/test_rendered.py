"""Lists of columns in statements are rendered from the core's structs and effects."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import pytest

from fleet_q.adapters.columns import ROWS, columns_of
from fleet_q.adapters.statements import Dialect, procedures, statements
from fleet_q.core.lifecycle import EFFECTS
from fleet_q.sql import lists
from fleet_q.sql.render import (
    ColumnList,
    UnknownColumn,
    UnknownFile,
    by_place,
    include,
    render,
    rows_by_place,
)
from tests.adapters.rendered import golden_files

DIALECTS: Final[tuple[Dialect, ...]] = ("sqlite", "snowflake")

LISTS = {
    "columns": ColumnList({"a": "a", "b": "t.b"}),
    "named": ColumnList({"a": "a", "b": None}, "{value} AS {column}"),
}


@pytest.mark.parametrize(
    ("path", "text"),
    [pytest.param(*golden, id=golden[0].stem) for golden in golden_files().items()],
)
def test_rendered_statements_equal_the_golden_file(path: Path, text: str) -> None:
    assert path.read_text(encoding="utf-8") == text, "run python -m tests.adapters.rendered"


def test_sqlite_statements_have_no_unrendered_list() -> None:
    for name, text in statements("sqlite").items():
        assert "{" not in text, name


@pytest.mark.parametrize("dialect", DIALECTS)
def test_new_column_is_in_every_list_of_its_table(dialect: Dialect) -> None:
    rendered_lists = getattr(lists, dialect)(ROWS._replace(step={**ROWS.step, "new": "text"}))
    for name in ("step_names", "step_columns", "step_values"):
        assert list(rendered_lists[name].values) == [*ROWS.step, "new"]


def test_snowflake_statuses_are_exactly_those_of_the_declared_effects() -> None:
    text = lists.snowflake(ROWS)["effects"].values["status"]
    assert text is not None
    cases = dict(re.findall(r"WHEN '(\w+)' THEN '(\w+)'", text))
    assert cases == {event: effect.status for event, effect in EFFECTS.items()}
    assert "ELSE" not in text


def test_included_text_has_no_comments_and_the_indentation_of_its_line() -> None:
    texts = {"outer": "-- why\nx = 1\nAND {{inner}}", "inner": "-- and this\ny = 2"}
    assert include("WHERE\n    {{outer}}", texts) == "WHERE\n    x = 1\n    AND y = 2"
    with pytest.raises(UnknownFile, match="there is no file 'else' to include"):
        include("{{else}}", texts)


def test_only_snowflake_has_procedures() -> None:
    assert procedures("sqlite") == {}
    assert "sync" in procedures("snowflake")


def test_render_replaces_lists_and_keeps_other_names() -> None:
    assert render("SELECT {columns} FROM {table}", LISTS) == "SELECT a, t.b FROM {table}"


def test_render_replaces_values_in_the_order_of_the_list() -> None:
    text = "{named with b = replace(x, '{}', y); a = 1}"
    assert render(text, LISTS) == "1 AS a, replace(x, '{}', y) AS b"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{unknown with a = 1}", "there is no list of columns 'unknown'"),
        ("{columns with c = 1}", "the list columns has no column 'c'"),
        ("{named}", "the list named needs a value for 'b'"),
    ],
)
def test_unknown_list_or_column_is_an_error(text: str, message: str) -> None:
    with pytest.raises(UnknownColumn, match=message):
        render(text, LISTS)


def test_long_list_is_wrapped_and_indented() -> None:
    wide = {"wide": ColumnList({f"column_{n}": f"column_{n:02}" for n in range(20)})}
    lines = render("SELECT\n    {wide}\nFROM t", wide).splitlines()
    assert max(map(len, lines)) <= 100
    assert [line[:14] for line in lines[1:-1]] == [
        "    column_00,",
        "    column_08,",
        "    column_16,",
    ]


def test_named_parameters_become_numbered_parameters() -> None:
    assert by_place("VALUES (:b, :a, :b, x::TEXT)", ["a", "b"]) == "VALUES (?2, ?1, ?2, x::TEXT)"
    with pytest.raises(UnknownColumn, match="there is no value for :c"):
        by_place(":c", ["a"])


def test_rows_of_an_insertion_have_values_one_after_another() -> None:
    text = "INSERT INTO t (x, y) VALUES (:b, max(:a, :b))\n"
    many = "INSERT INTO t (x, y) VALUES (?2, max(?1, ?2)), (?4, max(?3, ?4))"
    assert rows_by_place(text, ["a", "b"], 2) == many


def test_column_has_the_type_of_its_field() -> None:
    class Row(msgspec.Struct):
        name: str | None
        kind: Literal["a", "b"] | None
        count: int
        is_last: bool
        created_ts: int | None

    assert columns_of(Row) == {
        "name": "text",
        "kind": "text",
        "count": "number",
        "is_last": "boolean",
        "created_ts": "time",
    }


def test_field_of_unsupported_type_is_an_error() -> None:
    class Row(msgspec.Struct):
        anything: Any

    with pytest.raises(TypeError, match="no column can hold anything"):
        columns_of(Row)
