"""The files of ``sql/snowflake`` parse as Snowflake's SQL, and pods are granted what they need."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any

import pytest
import sqlglot
from sqlglot import exp

from fleet_q.adapters.snowflake.schema import (
    Place,
    TableKind,
    grants,
    grants_by_object,
    script,
    steps,
)
from fleet_q.adapters.snowflake.statements import TABLES, Statements, identifier
from fleet_q.sql import Migration, migrations
from tests.standin.procedures import definition
from tests.standin.scripting import check

STATEMENTS = Statements("my_")
PLACE = Place('"WH"', '"DB"', '"S C"', '"PODS"')
NAMES = {
    "table": STATEMENTS.names["step_tracker"],
    "version": "2",
}
MIGRATIONS = migrations("snowflake")
OPERATORS = ("prune_steps", "prune_pod", "replace_steps", "replace_pods", "replace_queues")
"""The procedures that no pod calls."""
FILES = sorted(
    path.name.removesuffix(".sql")
    for path in files("fleet_q.sql").joinpath("snowflake").iterdir()
    if path.name.endswith(".sql")
)

INDEX = re.compile(r",\s*INDEX \w+ \(([^)]*)\)")


def names() -> dict[str, str]:
    return {**NAMES, **{field: getattr(PLACE, field) for field in Place.__struct_fields__}}


def parse(statement: str) -> sqlglot.Expr:
    """Parse one statement. Fails if a part stays unparsed, which sqlglot makes a ``Command``."""
    (parsed,) = sqlglot.parse(statement, dialect="snowflake")
    assert parsed is not None
    unparsed = [command.sql("snowflake") for command in parsed.find_all(exp.Command)]
    assert not unparsed, f"sqlglot did not parse {unparsed}"
    return parsed


def parse_hybrid(statement: str) -> tuple[exp.Create, list[str]]:
    """Parse the definition of a hybrid table, which sqlglot does not know, as that of a standard
    table without indexes. Returns it and the columns of the indexes."""
    indexes = [match[1].split(", ") for match in INDEX.finditer(statement)]
    standard = INDEX.sub("", statement).replace("CREATE HYBRID TABLE", "CREATE TABLE", 1)
    parsed = parse(standard)
    assert isinstance(parsed, exp.Create)
    return parsed, [column for index in indexes for column in index]


def columns(create: exp.Expression) -> dict[str, str]:
    """Each column's type, and whether it may be NULL."""
    types = {}
    for column in create.find_all(exp.ColumnDef):
        needed = column.find(exp.NotNullColumnConstraint) is not None
        types[column.name] = (
            f"{column.args['kind'].sql('snowflake')}{' NOT NULL' if needed else ''}"
        )
    return types


def tables(kind: TableKind) -> list[str]:
    """The statements that create the tables."""
    return [
        statement
        for migration in MIGRATIONS
        for statement in steps(STATEMENTS, migration, kind).definitions
        if statement.startswith("CREATE")
    ]


def table_of(statement: str) -> str:
    match = re.match(r'CREATE (?:HYBRID |TRANSIENT )?TABLE IF NOT EXISTS ("\w+")', statement)
    assert match is not None, statement
    return match[1]


@pytest.mark.parametrize("name", FILES)
def test_every_file_parses_as_snowflake_sql(name: str) -> None:
    for statement in STATEMENTS.split(name, **names()):
        text = re.sub(r"(?<![\w:]):([a-z_]+)", "?", statement)
        assert not re.search(r"\{(?!\})", text), "a name was not replaced"
        assert ";" not in text
        if text.startswith("CREATE HYBRID TABLE"):
            parse_hybrid(text)
        elif text.startswith("SHOW PARAMETERS"):
            assert re.fullmatch(
                r"""SHOW PARAMETERS LIKE '\w+' IN (SESSION|ACCOUNT|WAREHOUSE "WH")""", text
            )
        elif text.startswith("SHOW PROCEDURES"):
            assert text == "SHOW PROCEDURES IN SCHEMA"
        elif text.startswith("GRANT USAGE ON PROCEDURE"):
            assert re.fullmatch(r'GRANT .+"\((VARCHAR|NUMBER|BOOLEAN|, )+\) TO ROLE "PODS"', text)
        else:
            parse(text)


@pytest.mark.parametrize("name", STATEMENTS.procedures)
def test_procedure_has_only_constructs_that_are_documented(name: str) -> None:
    """The stand-in accepts no others, see docs/snowflake.md."""
    procedure, _ = definition(STATEMENTS.procedures[name].text, "DB", "S")
    assert procedure.has_owner_rights
    assert procedure.block.rolls_back
    check(procedure.block, [argument for argument, _ in procedure.arguments], True)


def test_names_of_procedures_begin_with_the_prefix_and_end_with_the_schema_version() -> None:
    for name, procedure in STATEMENTS.procedures.items():
        assert procedure.name == f'"MY_FLEET_Q_{name.upper()}_{MIGRATIONS[-1].version}"'
        assert f"COMMENT = '{procedure.comment}'" in procedure.text


@pytest.mark.parametrize("name", FILES)
def test_table_names_have_the_prefix_and_quotes(name: str) -> None:
    text = STATEMENTS.text(name, **names())
    bare = re.sub(r'"[^"]*"|\'[^\']*\'', "", text)
    for table in TABLES:
        assert not re.search(rf"(?<![\w.]){table}\s*(\(|\.|$|\sAS\b|\sSET\b)", bare, re.I | re.M), (
            f"{table} is not {STATEMENTS.names[table]}"
        )


@pytest.mark.parametrize("kind", list(TableKind))
@pytest.mark.parametrize("migration", MIGRATIONS[1:], ids=lambda migration: migration.name)
def test_migration_runs_definitions_before_changes(migration: Migration, kind: TableKind) -> None:
    """A definition commits what was changed before it in the same transaction."""
    parts = steps(STATEMENTS, migration, kind)
    text = script(STATEMENTS, kind, PLACE)
    places = [text.index(part) for part in (*parts.definitions, *parts.changes[1:])]
    assert places == sorted(places)
    for statement in (*parts.definitions, *parts.changes):
        assert not re.search(r"[{;}]", statement)
        parse_hybrid(statement) if "HYBRID" in statement else parse(statement)


@pytest.mark.parametrize("kind", list(TableKind))
def test_only_hybrid_tables_have_keys_and_indexes(kind: TableKind) -> None:
    creates = tables(kind)
    (version,) = steps(STATEMENTS, MIGRATIONS[0], kind).changes
    assert {table_of(create) for create in creates} == set(STATEMENTS.names.values())
    assert version.startswith(f"INSERT INTO {STATEMENTS.names['fleet_q']}")
    assert f"SELECT 1, '{kind}', 0" in version
    hybrid = {table_of(text) for text in creates if text.startswith("CREATE HYBRID")}
    projections = {STATEMENTS.names["step_tracker"], STATEMENTS.names["pod_health"]}
    assert hybrid == (projections if kind is TableKind.HYBRID else set())
    for create in creates:
        if create.startswith("CREATE HYBRID"):
            parsed: sqlglot.Expr
            parsed, indexed = parse_hybrid(create)
            assert set(indexed) <= set(columns(parsed))
            assert parsed.find(exp.PrimaryKeyColumnConstraint)
        else:
            parsed = parse(create)
            assert not re.search(r"\b(INDEX|PRIMARY KEY|UNIQUE)\b", create)
        assert isinstance(parsed, exp.Create)


@pytest.mark.parametrize("kind", list(TableKind))
def test_standard_tables_that_updates_rewrite_keep_nothing_for_time_travel(kind: TableKind) -> None:
    """Hybrid tables cannot be transient, and the logs are kept as any table is."""
    projections = {STATEMENTS.names["step_tracker"], STATEMENTS.names["pod_health"]}
    names = (
        "pod_heartbeats",
        "step_progress",
        "sync_requests",
        "queues",
        "schedules",
        "alerts",
        "step_inbox",
    )
    always = {STATEMENTS.names[name] for name in names}
    transient = {
        table_of(create)
        for create in tables(kind)
        if create.startswith("CREATE TRANSIENT")
        and create.endswith(") DATA_RETENTION_TIME_IN_DAYS = 0")
    }
    assert transient == always | (projections if kind is TableKind.STANDARD else set())
    assert ("TRANSIENT" in script(STATEMENTS, kind, PLACE)) == bool(transient)


def test_standard_and_hybrid_tables_have_the_same_columns() -> None:
    columns_of: dict[str, list[Any]] = {}
    for kind in TableKind:
        for create in tables(kind):
            parsed = parse_hybrid(create)[0]
            columns_of.setdefault(table_of(create), []).append(columns(parsed))
    assert len(columns_of) == len(TABLES)
    for table, (standard, hybrid) in columns_of.items():
        assert standard == hybrid, table


def test_grants_let_a_pod_read_every_table_and_write_only_by_procedures() -> None:
    granted = grants_by_object(STATEMENTS, PLACE)
    tables = list(STATEMENTS.names.values())
    called = [p.name for name, p in STATEMENTS.procedures.items() if name not in OPERATORS]
    assert sorted(granted) == sorted([*tables, *called])
    for name, grant in granted.items():
        what = "SELECT ON TABLE" if name in tables else "USAGE ON PROCEDURE"
        assert grant.startswith(f"GRANT {what} ")


def test_printed_script_has_the_statements_that_are_run_and_operator_grants_as_comments() -> None:
    text = script(STATEMENTS, TableKind.STANDARD, PLACE)
    assert text.startswith('USE SCHEMA "DB"."S C";\n')
    assert "-- The log, from which the other tables can be rebuilt." in text
    for procedure in STATEMENTS.procedures.values():
        assert f"\n\n{procedure.text};\n" in text
        text = text.replace(f"{procedure.text};\n", "")
    parts = [steps(STATEMENTS, migration, TableKind.STANDARD) for migration in MIGRATIONS]
    run = [
        *STATEMENTS.split("use_schema", database='"DB"', schema='"S C"'),
        *(text for part in parts for text in part.definitions + part.changes),
        *grants(STATEMENTS, PLACE),
    ]
    printed = re.sub(r"^\s*--.*\n", "", text, flags=re.M)
    assert sorted(part.strip() for part in printed.split(";\n") if part.strip()) == sorted(run)
    for_operators = re.findall(r"^--\s+GRANT USAGE ON PROCEDURE .+\.(\S+)\(.*;$", text, flags=re.M)
    assert for_operators == [
        STATEMENTS.procedures[name].name for name in (*OPERATORS, "write_schedule")
    ]


@pytest.mark.parametrize(
    ("written", "quoted"),
    [
        ("fleet_q", '"FLEET_Q"'),
        ('"fleet_q"', '"fleet_q"'),
        ('"a""b"', '"a""b"'),
        ("my-db", '"my-db"'),
        ('x"; DROP TABLE y', '"x""; DROP TABLE y"'),
        ('"', '""""'),
    ],
)
def test_identifier_is_quoted_as_snowflake_resolves_it(written: str, quoted: str) -> None:
    assert identifier(written) == quoted
