"""Plans of statements, made once for each text: kind, tables, and the translation for DuckDB.

fakesnow needs some thirty milliseconds to translate a statement, far more than DuckDB needs to run
it, so a plan keeps the translation, in memory and on disk. Values are bound by name (``?`` becomes
``$p1``, ``$p2``), and so are the time and the properties of the session.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any, Final

import duckdb
from fakesnow.fakes import FakeSnowflakeConnection
from fakesnow.statement_type import statement_type_id
from sqlglot import Expr, exp, parse_one
from sqlglot.errors import ParseError

from . import lighter, plan_files, procedures, trees
from .errors import SnowflakeError
from .log import WRITES
from .tokens import tokens

KEPT: Final = 4_096
"""How many plans are kept; the least recently used ones are dropped."""

NOW: Final = "now"

_KINDS: Final[dict[type[Expr], str]] = {
    exp.Select: "select",
    exp.SetOperation: "select",
    exp.Insert: "insert",
    exp.Update: "update",
    exp.Delete: "delete",
    exp.Merge: "merge",
    exp.TruncateTable: "truncate",
    exp.Create: "ddl",
    exp.Alter: "ddl",
    exp.Drop: "ddl",
    exp.Comment: "ddl",
}
_TRANSACTION: Final = re.compile(
    r"\s*(?:(?P<begin>BEGIN|START\s+TRANSACTION)(?:\s+(?:WORK|TRANSACTION))?"
    r"(?:\s+NAME\s+(?P<name>\w+))?"
    r"|(?P<commit>COMMIT)(?:\s+WORK)?|(?P<rollback>ROLLBACK)(?:\s+WORK)?)\s*;?\s*",
    re.IGNORECASE,
)
_SYSTEM: Final = re.compile(r"\bSYSTEM\$|\bQUERY_HISTORY_BY_(SESSION|USER)\b", re.IGNORECASE)
_IDENTIFIER: Final = re.compile(r"\bIDENTIFIER\s*\(\s*\?\s*\)", re.IGNORECASE)

RUN: Final = frozenset({"select", "insert", "update", "delete", "merge"})
"""Kinds of statements that run by plan; fakesnow runs all others."""
LOCKS: Final = frozenset({"update", "delete", "merge", "truncate"})

_OF_SESSION: Final = {
    "CurrentWarehouse": "warehouse",
    "CurrentDatabase": "database",
    "CurrentSchema": "schema",
    "CurrentRole": "role",
    "CurrentUser": "user",
    "CurrentAccount": "account",
    "CurrentSession": "session",
    "CurrentTransaction": "transaction",
    "CurrentRegion": "region",
}
_NEVER_THE_SAME: Final = (exp.CurrentTimestamp, exp.CurrentTime, exp.Rand, exp.Uuid)


@dataclass(frozen=True)
class Table:
    """A table as a statement names it."""

    name: str
    schema: str | None = None
    database: str | None = None

    def within(self, database: str | None, schema: str | None) -> str:
        """The full name, quoted. Case tells nothing apart, in DuckDB at least."""
        return f'"{self.database or database}"."{self.schema or schema}"."{self.name}"'.upper()


@dataclass(frozen=True)
class TableDefinition:
    """The metadata of a table that fakesnow stores in addition to DuckDB's."""

    name: Table
    comment: str | None
    text_lengths: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Plan:
    """What is known about the text of a statement."""

    kind: str
    reads: tuple[Table, ...] = ()
    target: Table | None = None
    sql: str | None = None
    """In DuckDB's dialect; ``None`` leaves the text to fakesnow."""
    session_values: frozenset[str] = frozenset()
    """The properties of the session, and ``now``, that ``sql`` binds."""
    repeatable: bool = True
    """Whether it uses no function whose value changes from call to call."""
    counts_only: bool = False
    """Whether it selects only counts, minima and maxima of a whole table."""
    type_id: int = 0
    statement: duckdb.Statement | None = None
    """``sql`` as parsed by DuckDB."""
    table: TableDefinition | None = None
    """The table that it defines."""
    transaction_name: str | None = None
    source: str | None = None
    """The query of an INSERT ... SELECT or UPDATE ... FROM (SELECT ...), in DuckDB's dialect;
    ``into`` is the rest of ``sql``, which takes the rows ``rows_read`` instead."""
    into: str | None = None

    @property
    def writes(self) -> bool:
        return self.kind in WRITES

    @property
    def locks(self) -> bool:
        return self.kind in LOCKS


def first_word(text: str) -> str:
    """The first word of a statement, in lower case."""
    return text.split(maxsplit=1)[0].rstrip(";").lower()


def kinds(text: str) -> set[str]:
    """The values of ``Fault.on`` that match a statement, by its first word."""
    word = first_word(text)
    return {word, "write"} if word in WRITES else {word}


class Plans:
    """The plans of recent texts."""

    def __init__(self) -> None:
        self._plans: OrderedDict[str, Plan] = OrderedDict()

    def find(self, text: str, connection: FakeSnowflakeConnection) -> Plan:
        """Return the plan of a text; ``connection`` translates it if it is new."""
        transaction = _TRANSACTION.fullmatch(text)
        if transaction is not None:
            kind = next(word for word in ("begin", "commit", "rollback") if transaction[word])
            return Plan(kind, transaction_name=transaction["name"])
        about_procedures = procedures.kind(text)
        if about_procedures is not None:
            return Plan(about_procedures)
        plan = self._plans.get(text)
        if plan is None:
            plan = self._plans[text] = _stored_plan(text, connection)
            if len(self._plans) > KEPT:
                self._plans.popitem(last=False)
        else:
            self._plans.move_to_end(text)
        return plan


def with_names_inlined(text: str, values: list[Any]) -> tuple[str, list[Any]]:
    """The text with ``IDENTIFIER(?)`` replaced by the names that are bound there."""
    if not _IDENTIFIER.search(text):
        return text, values
    inlined: list[str] = []
    kept: list[Any] = []
    position = 0
    for number, start in enumerate(_placeholders(text)):
        around = _IDENTIFIER.search(text, position)
        if around is not None and around.start() < start < around.end():
            inlined.append(text[position : around.start()] + str(values[number]))
            position = around.end()
        else:
            kept.append(values[number])
    return "".join(inlined) + text[position:], kept


def _stored_plan(text: str, connection: FakeSnowflakeConnection) -> Plan:
    key = f"{connection.database} {text}"
    plan: Plan | None = plan_files.load(key)
    if plan is not None:
        return replace(plan, statement=_parsed(plan.sql, connection))
    plan = _plan(text, connection)
    plan_files.store(key, replace(plan, statement=None))
    return plan


def _plan(text: str, connection: FakeSnowflakeConnection) -> Plan:
    try:
        expression = parse_one(_with_named_placeholders(text), read="snowflake")
    except ParseError as error:
        raise SnowflakeError("001003", f"SQL compilation error:\n{error}", "42000") from None
    kind = next((k for type_, k in _KINDS.items() if isinstance(expression, type_)), "other")
    is_command = kind == "ddl" and expression.args.get("kind") == "SESSION"
    if is_command or _SYSTEM.search(text):
        kind = "other"
    type_id = statement_type_id(expression) if kind != "select" else statement_type_id(exp.select())
    if isinstance(expression, exp.Create):
        return _definition(expression, connection, type_id)
    if kind not in RUN:
        target = expression.find(exp.Table) if kind == "truncate" else None
        return Plan(kind, target=_table(target) if target else None, type_id=type_id)
    target = _target(expression)
    reads = _reads(expression, target)
    repeatable = expression.find(*_NEVER_THE_SAME) is None
    counts_only = _counts_only(expression)
    expression, session_values = _with_values_bound(lighter.with_sorted_lists(expression))
    translated = _translated(expression, connection)
    sql = _sql(translated)
    source, into = _source(translated)
    return Plan(
        kind,
        reads,
        _table(target) if target is not None else None,
        sql,
        session_values,
        repeatable and not session_values,
        counts_only,
        type_id,
        _parsed(sql, connection),
        source=source,
        into=into,
    )


def _definition(expression: exp.Create, connection: FakeSnowflakeConnection, type_id: int) -> Plan:
    """Plan the definition of a table. It is kept too, since every test creates its own tables."""
    schema = expression.this
    if expression.kind != "TABLE" or not isinstance(schema, exp.Schema):
        return Plan("ddl", type_id=type_id)
    _remove_keys(schema)
    defined = _table(schema.this)
    translated = _translated(expression, connection)
    sql = _sql(translated)
    if translated is None or expression.args.get("expression") is not None:
        return Plan("ddl", type_id=type_id)
    comment = translated.args.get("table_comment")
    lengths = translated.args.get("text_lengths") or []
    table = TableDefinition(defined, comment[1] if comment else None, tuple(lengths))
    return Plan("ddl", sql=sql, type_id=type_id, statement=_parsed(sql, connection), table=table)


def _remove_keys(schema: exp.Schema) -> None:
    """Snowflake does not enforce the keys of its standard tables, and DuckDB would."""
    keys = (exp.PrimaryKey, exp.PrimaryKeyColumnConstraint, exp.UniqueColumnConstraint)
    for key in list(schema.find_all(*keys)):
        (key.find_ancestor(exp.Constraint, exp.ColumnConstraint) or key).pop()


def _translated(expression: Expr, connection: FakeSnowflakeConnection) -> Expr | None:
    """fakesnow's translation for DuckDB; ``None`` if that is more than one statement."""
    cursor = connection.cursor()
    cursor.check_db_and_schema(expression)
    with trees.fast():
        statements = [expression]
        if not isinstance(expression, exp.Merge):  # DuckDB has its own, in one statement
            statements = cursor._transform_explode(expression)
        if len(statements) > 1:
            return None
        return lighter.with_values_only(cursor._transform(statements[0], None))


def _sql(translated: Expr | None) -> str | None:
    if translated is None:
        return None
    if translated.args.get("result_scan_sfqid") or translated.args.get("seed"):
        return None
    sql = translated.sql(dialect="duckdb")
    return f"{sql} RETURNING merge_action" if isinstance(translated, exp.Merge) else sql


def _source(translated: Expr | None) -> tuple[str | None, str | None]:
    """The query of an INSERT or UPDATE, and the statement without it."""
    if translated is None:
        return None, None
    into = translated.copy()
    rows_read = exp.select("*").from_("rows_read")
    source = into.args.get("from_") if isinstance(into, exp.Update) else into
    query = source.this if isinstance(source, exp.From) else source
    if isinstance(query, exp.Subquery):
        read = query.this
        query.set("this", rows_read)
    elif isinstance(query, exp.Insert) and isinstance(query.expression, exp.Query):
        read = query.expression
        query.set("expression", rows_read)
    else:
        return None, None
    return read.sql(dialect="duckdb"), into.sql(dialect="duckdb")


def _parsed(sql: str | None, connection: FakeSnowflakeConnection) -> duckdb.Statement | None:
    return connection._duck_conn.extract_statements(sql)[0] if sql is not None else None


def _placeholders(text: str) -> list[int]:
    return [token.start for token in tokens(text) if token.word == "?"]


def _with_named_placeholders(text: str) -> str:
    parts: list[str] = []
    position = 0
    for number, start in enumerate(_placeholders(text), 1):
        parts.append(f"{text[position:start]}:p{number}")
        position = start + 1
    return "".join(parts) + text[position:]


def _with_values_bound(expression: Expr) -> tuple[Expr, frozenset[str]]:
    """Replace the time and properties of the session by placeholders; also returns their names."""
    wanted: set[str] = set()

    def bind(node: Expr) -> Expr:
        if isinstance(node, exp.ByteLength):  # DuckDB's OCTET_LENGTH takes no texts
            return exp.func("STRLEN", node.this)
        if isinstance(node, exp.CurrentTimestamp):
            wanted.add(NOW)
            bound: Expr = exp.func("MAKE_TIMESTAMPTZ", exp.Placeholder(this=NOW))
            if node.args.get("sysdate"):
                bound = exp.AtTimeZone(this=bound, zone=exp.Literal.string("UTC"))
        elif (name := _OF_SESSION.get(type(node).__name__)) is not None:
            wanted.add(name)
            bound = exp.Placeholder(this=name)
        else:
            return node
        if isinstance(node.parent, exp.Select) and node.arg_key == "expressions":
            return exp.alias_(bound, node.sql(dialect="snowflake"), quoted=True)
        return bound

    return expression.transform(bind), frozenset(wanted)


def _target(expression: Expr) -> exp.Table | None:
    if isinstance(expression, exp.Insert | exp.Update | exp.Delete | exp.Merge):
        found = expression.this
        target: exp.Table | None = found.this if isinstance(found, exp.Schema) else found
        return target
    return None


def _reads(expression: Expr, target: exp.Table | None) -> tuple[Table, ...]:
    defined = {cte.alias_or_name.upper() for cte in expression.find_all(exp.CTE)}
    found = {
        _table(table)
        for table in expression.find_all(exp.Table)
        if isinstance(table.this, exp.Identifier)
        and table.name.upper() not in defined
        and (table is not target or not isinstance(expression, exp.Insert))
    }
    return tuple(sorted(found, key=str))


def _table(table: exp.Table) -> Table:
    return Table(table.name, table.db or None, table.catalog or None)


def _counts_only(expression: Expr) -> bool:
    if not isinstance(expression, exp.Select):
        return False
    if any(expression.args.get(part) for part in ("where", "group", "joins", "having", "with_")):
        return False
    source = expression.args.get("from_")
    if source is None or not isinstance(source.this, exp.Table):
        return False
    asked = [column.unalias() for column in expression.expressions]
    return bool(asked) and all(_is_count(column) for column in asked)


def _is_count(column: Expr) -> bool:
    if isinstance(column, exp.Count):
        return isinstance(column.this, exp.Star)
    return isinstance(column, exp.Min | exp.Max) and isinstance(column.this, exp.Column)
