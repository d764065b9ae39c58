"""No statement has a construct that Snowflake is known to refuse and the stand-in takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

import pytest
import sqlglot
from sqlglot import exp

from fleet_q.adapters.snowflake.schema import TableKind, steps
from fleet_q.adapters.snowflake.statements import Statements
from fleet_q.adapters.statements import statements
from fleet_q.sql import Migration, migrations

Finds = Callable[[exp.Expr], Iterator[exp.Expr]]

STATEMENTS: Final = Statements()
NO_QUERIES: Final = ("grants",)
"""A script."""

INDEX: Final = re.compile(r"INDEX \w+ \(([^)]*)\)")
INDEXABLE: Final = ("VARCHAR", "NUMBER", "TIMESTAMP_NTZ", "DATE")
"""Types that a hybrid table may index: documentation of CREATE INDEX. Two pages contradict one
another on TIMESTAMP_TZ, and none names TIMESTAMP_LTZ."""


def flatten_joined_by_on(statement: exp.Expr) -> Iterator[exp.Expr]:
    """FLATTEN joined with a condition: error 000002, lateral table functions take no ON clause."""
    for join in statement.find_all(exp.Join):
        is_function = isinstance(join.this, exp.Lateral | exp.TableFromRows)
        if is_function and (join.args.get("on") or join.args.get("using") or join.side):
            yield join


def limit_that_is_no_constant(statement: exp.Expr) -> Iterator[exp.Expr]:
    """LIMIT with a bound value or an expression: documentation of LIMIT, which wants a constant."""
    for limit in statement.find_all(exp.Limit, exp.Offset):
        if not isinstance(limit.expression, exp.Literal):
            yield limit


def correlated_subquery_in_or(statement: exp.Expr) -> Iterator[exp.Expr]:
    """A correlated subquery under OR: "Unsupported subquery type cannot be evaluated"."""
    for subquery in statement.find_all(exp.Select):
        own = {source.alias_or_name for source in subquery.find_all(exp.Table, exp.Subquery)}
        own |= {alias.name for alias in subquery.find_all(exp.TableAlias)}
        is_correlated = any(
            column.table and column.table not in own for column in subquery.find_all(exp.Column)
        )
        if is_correlated and is_condition(subquery) and subquery.find_ancestor(exp.Or):
            yield subquery


def is_condition(subquery: exp.Expr) -> bool:
    """Whether this is the query of EXISTS or IN, and no source of another query."""
    parent = subquery.parent
    return isinstance(parent, exp.Exists | exp.In) or (
        isinstance(parent, exp.Subquery) and not isinstance(parent.parent, exp.From | exp.Join)
    )


def returned_or_merged_rows(statement: exp.Expr) -> Iterator[exp.Expr]:
    """RETURNING, ON CONFLICT, and LIMIT of an UPDATE or DELETE, none of which is in Snowflake's
    syntax of INSERT, UPDATE and DELETE."""
    yield from statement.find_all(exp.Returning, exp.OnConflict)
    if isinstance(statement, exp.Update | exp.Delete) and statement.args.get("limit"):
        yield statement


def row_lock(statement: exp.Expr) -> Iterator[exp.Expr]:
    """SELECT ... FOR UPDATE: only for hybrid tables, and only in a transaction."""
    yield from statement.find_all(exp.Lock)


REFUSED: Final[dict[Finds, list[str]]] = {
    flatten_joined_by_on: [
        "SELECT 1 FROM a JOIN TABLE(FLATTEN(input => PARSE_JSON(:x))) AS f ON a.id = f.value",
        "SELECT 1 FROM a LEFT JOIN LATERAL FLATTEN(input => a.x) AS f",
        "SELECT 1 FROM (SELECT 1 FROM a JOIN LATERAL FLATTEN(input => a.x) AS f ON TRUE)",
    ],
    limit_that_is_no_constant: [
        "SELECT 1 FROM a LIMIT :most",
        "SELECT 1 FROM a LIMIT 2 * 3",
        "SELECT 1 FROM a LIMIT 1 OFFSET :first",
    ],
    correlated_subquery_in_or: [
        "SELECT 1 FROM a WHERE a.x OR EXISTS (SELECT 1 FROM b WHERE b.id = a.id)",
        "SELECT 1 FROM a WHERE a.x OR NOT EXISTS (SELECT 1 FROM b WHERE b.id = a.id)",
        "UPDATE a SET x = 1 WHERE :y OR a.id IN (SELECT b.id FROM b WHERE b.z = a.z)",
    ],
    returned_or_merged_rows: [
        "INSERT INTO a (x) SELECT 1 RETURNING x",
        "INSERT INTO a (x) VALUES (1) ON CONFLICT DO NOTHING",
        "DELETE FROM a LIMIT 1",
    ],
    row_lock: ["SELECT x FROM a FOR UPDATE"],
}
TAKEN: Final = (
    "SELECT 1 FROM a JOIN (SELECT value FROM TABLE(FLATTEN(input => :x))) AS f ON a.id = f.value",
    "SELECT 1 FROM a CROSS JOIN TABLE(FLATTEN(input => PARSE_JSON(:x))) AS f LIMIT 5",
    "SELECT 1 FROM a WHERE a.x OR EXISTS (SELECT 1 FROM b WHERE b.id = :id)",
    "SELECT 1 FROM a WHERE a.x AND EXISTS (SELECT 1 FROM b WHERE b.id = a.id)",
)


def parse(text: str) -> exp.Expr:
    parsed = sqlglot.parse_one(text, dialect="snowflake")
    assert not parsed.find(exp.Command)
    return parsed


@pytest.mark.parametrize("finds", REFUSED)
def test_refused_construct_is_found(finds: Finds) -> None:
    for text in REFUSED[finds]:
        assert list(finds(parse(text))), text
    for text in TAKEN:
        assert not list(finds(parse(text))), text


@pytest.mark.parametrize(
    "name", [name for name in statements("snowflake") if name not in NO_QUERIES]
)
def test_statement_has_no_refused_construct(name: str) -> None:
    text = STATEMENTS.text(name)
    if text.startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "MERGE")):
        assert not [found.sql() for finds in REFUSED for found in finds(_parse(text))]


def _parse(text: str) -> exp.Expr:
    return parse(re.sub(r"\{\w+\}", "placeholder", text))


@pytest.mark.parametrize("migration", migrations("snowflake"), ids=lambda migration: migration.name)
@pytest.mark.parametrize("kind", TableKind)
def test_migration_indexes_only_types_that_may_be_indexed(
    migration: Migration, kind: TableKind
) -> None:
    definitions = steps(STATEMENTS, migration, kind).definitions
    for text in definitions:
        assert not text.startswith("CREATE INDEX"), "standard tables have no indexes"
        for match in INDEX.finditer(text):
            assert kind is TableKind.HYBRID
            for column in match[1].split(", "):
                (type_,) = re.findall(rf"^ +{column} +(\w+)", text, re.MULTILINE)
                assert type_ in INDEXABLE, f"{column} is a {type_}"
