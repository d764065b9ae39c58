"""Stored procedures: their definitions, and the commands for them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from duckdb import DuckDBPyConnection

from . import errors
from .datatypes import Type
from .scripting import Block, parse
from .tokens import Reader

_TABLE: Final = '"{}".main._standin_procedures'
"""Where the definitions of a database are stored; no schema of a test is named ``main``."""


@dataclass(frozen=True)
class Procedure:
    """A procedure."""

    database: str
    schema: str
    name: str
    arguments: tuple[tuple[str, Type], ...]
    returns: Type | None
    """``None``: it returns a table."""
    columns: tuple[tuple[str, Type], ...]
    """The columns of the table; none: they follow from the query."""
    has_owner_rights: bool
    comment: str
    block: Block
    created: int = field(default_factory=lambda: time.time_ns() // 1_000, compare=False)
    """In microseconds since 1970."""

    @property
    def signature(self) -> str:
        """Its name and the types of its arguments."""
        return f"{self.name}({', '.join(_base(type_) for _, type_ in self.arguments)})"

    @property
    def key(self) -> tuple[str, ...]:
        """What distinguishes it from other procedures."""
        return self.database, self.schema, self.signature

    @property
    def description(self) -> str:
        """Its signature and what it returns, as SHOW PROCEDURES has it."""
        columns = ", ".join(f"{name} {type_.text}" for name, type_ in self.columns)
        return (
            f"{self.signature} RETURN {self.returns.text if self.returns else f'TABLE ({columns})'}"
        )


def _base(type_: Type) -> str:
    return type_.text.partition("(")[0]


class Procedures:
    """The procedures of all databases. They are stored with the data, and so survive a restart."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], Procedure] = {}

    def load(self, duck: DuckDBPyConnection, database: str) -> None:
        """Load the procedures of a database that was opened."""
        table = _TABLE.format(database)
        duck.execute(
            f"CREATE TABLE IF NOT EXISTS {table} (schema VARCHAR, signature VARCHAR, text VARCHAR)"
        )
        for schema, text in duck.execute(f"SELECT schema, text FROM {table}").fetchall():
            procedure, _ = definition(text, database, schema)
            self._known[procedure.key] = procedure

    def create(self, duck: DuckDBPyConnection, text: str, database: str, schema: str) -> Procedure:
        """Carry out CREATE PROCEDURE."""
        procedure, replaces = definition(text, database, schema)
        if procedure.key in self._known and not replaces:
            raise errors.procedure_exists(procedure.name)
        self._remove(duck, procedure)
        self._known[procedure.key] = procedure
        row = [procedure.schema, procedure.signature, text]
        duck.execute(f"INSERT INTO {_TABLE.format(procedure.database)} VALUES (?, ?, ?)", row)
        return procedure

    def drop(self, duck: DuckDBPyConnection, text: str, database: str, schema: str) -> str:
        """Carry out DROP PROCEDURE; returns the procedure's name."""
        reader = Reader(text)
        reader.expect("DROP", "PROCEDURE")
        may_be_missing = reader.takes("IF", "EXISTS")
        where = _name(reader, database, schema)
        types = ", ".join(_base(type_) for type_ in reader.items(lambda: Type.read(reader)))
        reader.expect_end()
        procedure = self._known.pop((*where[:2], f"{where[2]}({types})"), None)
        if procedure is not None:
            self._remove(duck, procedure)
        elif not may_be_missing:
            raise errors.no_procedure(".".join(where))
        return where[2]

    def drop_schema(self, duck: DuckDBPyConnection, database: str, schema: str) -> None:
        """Drop all procedures of a schema."""
        for procedure in list(self.within(database, schema)):
            del self._known[procedure.key]
            self._remove(duck, procedure)

    def within(self, database: str, schema: str) -> Iterator[Procedure]:
        """The procedures of a schema."""
        for procedure in self._known.values():
            if (procedure.database, procedure.schema) == (database, schema):
                yield procedure

    def resolve(
        self, text: str, values: Sequence[Any], database: str, schema: str
    ) -> tuple[Procedure, list[Any]]:
        """The procedure that a CALL names, and its arguments."""
        reader = Reader(text)
        reader.expect("CALL")
        where = _name(reader, database, schema)
        arguments = _arguments(reader, values)
        reader.expect_end()
        named = [p for p in self.within(*where[:2]) if p.name == where[2]]
        if not named:
            raise errors.no_procedure(".".join(where))
        for procedure in named:
            types = [type_ for _, type_ in procedure.arguments]
            if len(types) == len(arguments) and all(
                type_.holds(value) for type_, value in zip(types, arguments, strict=True)
            ):
                return procedure, arguments
        found = ", ".join(type(value).__name__ for value in arguments)
        raise errors.invalid_arguments(where[2], found)

    def _remove(self, duck: DuckDBPyConnection, procedure: Procedure) -> None:
        duck.execute(
            f"DELETE FROM {_TABLE.format(procedure.database)} WHERE schema = ? AND signature = ?",
            [procedure.schema, procedure.signature],
        )


def definition(text: str, database: str, schema: str) -> tuple[Procedure, bool]:
    """Parse CREATE PROCEDURE; also returns whether it may replace one. Its clauses have the order
    that Snowflake documents."""
    reader = Reader(text)
    reader.expect("CREATE")
    replaces = reader.takes("OR", "REPLACE")
    reader.expect("PROCEDURE")
    where = _name(reader, database, schema)
    arguments = _columns(reader)
    reader.takes("COPY", "GRANTS")
    reader.expect("RETURNS")
    returns: Type | None = None
    columns: tuple[tuple[str, Type], ...] = ()
    if reader.takes("TABLE"):
        columns = _columns(reader)
    else:
        returns = Type.read(reader)
    reader.expect("LANGUAGE", "SQL")
    comment = reader.literal() if reader.takes("COMMENT", "=") else ""
    rights = "OWNER"
    if reader.takes("EXECUTE", "AS"):
        rights = reader.name()
        if rights not in ("OWNER", "CALLER"):
            raise reader.unexpected(reader.token, "EXECUTE AS OWNER or CALLER")
    reader.expect("AS")
    body = reader.read()
    if not body.text.startswith("$$"):
        raise reader.unexpected(body, "the body must be in $$")
    reader.expect_end()
    block = parse(body.text[2:-2])
    procedure = Procedure(*where, arguments, returns, columns, rights == "OWNER", comment, block)
    return procedure, replaces


def _name(reader: Reader, database: str, schema: str) -> tuple[str, str, str]:
    """Read a name that may be qualified."""
    parts = [reader.name()]
    while reader.takes("."):
        parts.append(reader.name())
    found = [database, schema][: 3 - len(parts)] + parts
    if len(found) != 3:
        raise reader.unexpected(reader.token, "expected a name with at most three parts")
    return found[0], found[1], found[2]


def _columns(reader: Reader) -> tuple[tuple[str, Type], ...]:
    """Read names with types, in parentheses."""
    return tuple(reader.items(lambda: (reader.name(), Type.read(reader))))


def _arguments(reader: Reader, values: Sequence[Any]) -> list[Any]:
    """Read the arguments of a CALL: bound values and literals."""
    bound = iter(values)
    constants = {"NULL": None, "TRUE": True, "FALSE": False}

    def argument() -> Any:
        token = reader.token
        if reader.takes("?"):
            return next(bound)
        if token.kind == "text":
            return reader.literal()
        if token.kind == "number":
            return int(reader.read().text)
        if token.word in constants:
            return constants[reader.read().word]
        raise reader.unexpected(token, "expected ? or a literal")

    return reader.items(argument)


def like(pattern: str) -> re.Pattern[str]:
    """The regular expression of a pattern of LIKE, which ignores case here."""
    parts = {"%": ".*", "_": "."}
    return re.compile("".join(parts.get(c, re.escape(c)) for c in pattern), re.IGNORECASE)


_FIRST_WORDS: Final = re.compile(
    r"\s*(?:(?P<call>CALL)|(?P<ddl>CREATE\s+(?:OR\s+REPLACE\s+)?PROCEDURE|DROP\s+PROCEDURE)"
    r"|SHOW\s+PROCEDURES)\b",
    re.IGNORECASE,
)


def kind(text: str) -> str | None:
    """``call``, ``ddl`` or ``other`` for a statement about procedures; ``None`` for others."""
    match = _FIRST_WORDS.match(text)
    return None if match is None else match.lastgroup or "other"
