"""Statements have their lists written out, from the core's structs and its effects."""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec
import pytest

from fleet_q.adapters.columns import ROWS, columns_of
from fleet_q.adapters.statements import Dialect, statements
from fleet_q.core.lifecycle import EFFECTS
from fleet_q.sql import lists
from fleet_q.sql.render import ColumnList, UnknownColumn, by_place, render
from tests.adapters.rendered import DIALECTS, golden_file, rendered

LISTS = {
    "columns": ColumnList({"a": "a", "b": "t.b"}),
    "named": ColumnList({"a": "a", "b": None}, "{value} AS {column}"),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_rendered_statements_are_those_that_are_kept_for_reading(dialect: Dialect) -> None:
    kept = golden_file(dialect).read_text(encoding="utf-8")
    assert kept == rendered(dialect), "run python -m tests.adapters.rendered"


def test_no_list_of_a_sqlite_statement_is_left_open() -> None:
    for name, text in statements("sqlite").items():
        assert "{" not in text, name


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_new_column_reaches_every_list_of_its_table(dialect: Dialect) -> None:
    known = getattr(lists, dialect)(ROWS._replace(step={**ROWS.step, "new": "text"}))
    for name in ("step_names", "step_columns", "step_values"):
        assert list(known[name].values) == [*ROWS.step, "new"]


def test_snowflake_has_a_status_for_every_effect_and_none_for_anything_else() -> None:
    text = lists.snowflake(ROWS)["effects"].values["status"]
    assert text is not None
    cases = dict(re.findall(r"WHEN '(\w+)' THEN '(\w+)'", text))
    assert cases == {event: effect.status for event, effect in EFFECTS.items()}
    assert "ELSE" not in text


def test_a_list_is_written_out_and_other_names_stay() -> None:
    assert render("SELECT {columns} FROM {table}", LISTS) == "SELECT a, t.b FROM {table}"


def test_values_of_a_list_are_replaced_in_its_order() -> None:
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
def test_a_list_or_column_that_does_not_exist_is_an_error(text: str, message: str) -> None:
    with pytest.raises(UnknownColumn, match=message):
        render(text, LISTS)


def test_a_long_list_is_wrapped_and_indented() -> None:
    wide = {"wide": ColumnList({f"column_{n}": f"column_{n:02}" for n in range(20)})}
    lines = render("SELECT\n    {wide}\nFROM t", wide).splitlines()
    assert max(map(len, lines)) <= 100
    assert [line[:14] for line in lines[1:-1]] == [
        "    column_00,",
        "    column_08,",
        "    column_16,",
    ]


def test_values_by_name_become_places() -> None:
    assert by_place("VALUES (:b, :a, :b, x::TEXT)", ["a", "b"]) == "VALUES (?2, ?1, ?2, x::TEXT)"
    with pytest.raises(UnknownColumn, match="there is no value for :c"):
        by_place(":c", ["a"])


def test_a_column_has_the_type_of_its_field() -> None:
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


def test_a_field_that_no_column_can_hold_is_an_error() -> None:
    class Row(msgspec.Struct):
        anything: Any

    with pytest.raises(TypeError, match="no column can hold anything"):
        columns_of(Row)
