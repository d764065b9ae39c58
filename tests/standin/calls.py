"""Runs the bodies of procedures, a statement at a time, with Snowflake's rules of transactions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

from fakesnow.fakes import FakeSnowflakeConnection

from . import errors, scripting
from .answers import Result
from .datatypes import Type
from .errors import SnowflakeError
from .log import Entry
from .plans import kinds
from .procedures import Procedure
from .scripting import (
    Assign,
    Declare,
    DeclareResultSet,
    Execute,
    Expression,
    For,
    If,
    Node,
    Query,
    Return,
    ReturnTable,
    SelectInto,
)
from .sessions import Session

_COUNTER: Final = Type("NUMBER", "fixed")
"""The type of the variables of loops."""

INHERITED: Final = frozenset(
    [
        "AUTOCOMMIT",
        "LOCK_TIMEOUT",
        "QUERY_TAG",
        "STATEMENT_QUEUED_TIMEOUT_IN_SECONDS",
        "STATEMENT_TIMEOUT_IN_SECONDS",
        "TRANSACTION_ABORT_ON_ERROR",
        "USE_CACHED_RESULT",
    ]
)
"""The caller's session parameters that reach a body with owner's rights. Source:
developer-guide/stored-procedure/stored-procedures-rights; those for dates are left out here."""

_NOT_FOR_OWNERS: Final = ("ALTER SESSION", "SHOW LOCKS", "SHOW TRANSACTIONS", "SHOW PARAMETERS")


class Statements(Protocol):
    """The part of the database that runs statements."""

    async def run(
        self, session: Session, text: str, values: list[Any], call: int | None = None
    ) -> tuple[Entry, Result]:
        """Run a statement."""

    def evaluate(self, session: Session, text: str, values: list[Any]) -> Result:
        """Evaluate an expression that reads no table."""

    def roll_back(self, session: Session) -> None:
        """Roll back the session's transaction, if there is one."""


def session_for(
    caller: Session, procedure: Procedure, connection: FakeSnowflakeConnection
) -> Session:
    """A session for a procedure's body, with the parameters of the caller's that reach it."""
    parameters = caller.parameters
    if procedure.has_owner_rights:
        parameters = {name: value for name, value in parameters.items() if name in INHERITED}
    return Session(
        connection,
        caller.scene,
        caller.user,
        caller.account,
        caller.role,
        caller.warehouse,
        parameters,
        id=caller.id,
        request=caller.request,
        deadline=caller.deadline,
        has_owner_rights=procedure.has_owner_rights,
    )


async def call(
    database: Statements,
    caller: Session,
    body: Session,
    procedure: Procedure,
    arguments: Sequence[Any],
    number: int,
) -> Result:
    """Run a procedure in the session ``body``; ``number`` is that of the CALL in the log.

    Raises ``SnowflakeError`` if it fails, or leaves a transaction open; that is rolled back.
    """
    returns_table = procedure.returns is None
    names = [name for name, _ in procedure.arguments]
    scripting.check(procedure.block, names, returns_table)
    run = _Run(database, caller, body, procedure, arguments, number)
    try:
        result = await run.block()
        if body.transaction is not None:
            raise errors.incomplete_transaction()
    finally:
        database.roll_back(body)
    return result


class _Run:
    """One execution of a body."""

    def __init__(
        self,
        database: Statements,
        caller: Session,
        body: Session,
        procedure: Procedure,
        arguments: Sequence[Any],
        number: int,
    ) -> None:
        self._database = database
        self._caller = caller
        self._body = body
        self._procedure = procedure
        self._number = number
        self._types = dict(procedure.arguments)
        self._values = dict(zip(self._types, arguments, strict=True))
        self._result_sets: dict[str, Result] = {}
        self._row_count: int | None = None

    async def block(self) -> Result:
        block = self._procedure.block
        try:
            result = await self._nodes([*block.declared, *block.body])
        except SnowflakeError:
            if block.rolls_back:
                self._body.is_canceled = False
                await self._statement(Query("ROLLBACK", (), 0, 0))
            raise
        if result is not None:
            return result
        if self._procedure.returns is None:
            raise errors.no_return()
        return self._scalar(None)

    async def _nodes(self, nodes: Sequence[Node]) -> Result | None:
        """Run nodes until one returns a result."""
        for node in nodes:
            result = await self._node(node)
            if result is not None:
                return result
        return None

    async def _node(self, node: Node) -> Result | None:
        match node:
            case Execute(query):
                await self._statement(query)
            case Declare(name, type_, value):
                self._types[name] = type_
                await self._assign(name, value)
            case DeclareResultSet(name, query):
                self._result_sets[name] = await self._statement(query)
            case Assign(name, value):
                await self._assign(name, value)
            case SelectInto(query, names):
                await self._select_into(query, names)
            case If(branches, otherwise):
                for condition, body in branches:
                    if await self._is_true(condition):
                        return await self._nodes(body)
                return await self._nodes(otherwise)
            case For(name, start, end, body):
                self._types[name] = _COUNTER
                for number in range(start, end + 1):
                    self._values[name] = number
                    result = await self._nodes(body)
                    if result is not None:
                        return result
            case ReturnTable(name):
                return self._table(self._result_sets[name])
            case Return(value):
                return self._scalar(await self._value(value))
        return None

    async def _assign(self, name: str, value: Expression | None) -> None:
        assigned = None if value is None else await self._value(value)
        type_ = self._types[name]
        if value is not None and not type_.holds(assigned):
            raise errors.wrong_type(name, type_.text, value.line, value.position)
        self._values[name] = assigned

    async def _select_into(self, query: Query, names: Sequence[str]) -> None:
        table = (await self._statement(query)).table
        assert table is not None
        if (table.num_rows, table.num_columns) != (1, len(names)):
            found = f"{table.num_rows} row(s) of {table.num_columns} column(s)"
            raise errors.not_provided(f"SELECT of {found} INTO {len(names)} variable(s)")
        for column, name in zip(table.columns, names, strict=True):
            value, type_ = column[0].as_py(), self._types[name]
            if not type_.holds(value):
                raise errors.wrong_type(name, type_.text, query.line, query.position)
            self._values[name] = value

    async def _value(self, expression: Expression) -> Any:
        if expression.is_query:
            return _single(await self._statement(expression))
        if expression.text == "?":
            return self._variable(expression.names[0])
        text = f'SELECT {expression.text} AS "VALUE"'
        if expression.has_query:
            return _single(await self._statement(replace(expression, text=text)))
        values = [self._variable(name) for name in expression.names]
        return _single(self._database.evaluate(self._body, text, values))

    async def _is_true(self, condition: Expression) -> bool:
        """Whether a condition holds; NULL is false."""
        value = await self._value(condition)
        if value not in (True, False, None):
            raise errors.not_provided(f"a condition that is {value!r}, not a BOOLEAN")
        return value is True

    def _variable(self, name: str) -> Any:
        return self._row_count if name == scripting.ROW_COUNT else self._values[name]

    async def _statement(self, query: Query) -> Result:
        values = [self._variable(name) for name in query.names]
        try:
            self._check(query.text)
            _, result = await self._database.run(self._body, query.text, values, self._number)
        except SnowflakeError as error:
            raise errors.uncaught(error, query.line, query.position) from error
        self._row_count = result.changed
        return result

    def _check(self, text: str) -> None:
        """Raise an error for a statement that a body may not contain here."""
        words = " ".join(text.upper().split(maxsplit=2)[:2])
        if self._procedure.has_owner_rights and words in _NOT_FOR_OWNERS:
            raise errors.not_with_owner_rights(words)
        is_outside = self._body.transaction is None and "begin" not in kinds(text)
        if is_outside and self._caller.transaction is not None:
            if words in ("COMMIT", "ROLLBACK"):
                raise errors.other_scope()
            raise errors.not_provided(
                "a statement of a procedure outside its own transaction, within the caller's"
            )

    def _table(self, result: Result) -> Result:
        columns = self._procedure.columns
        if not columns:
            return result
        types = [type_ for _, type_ in columns]
        sent = [column["type"] for column in result.rowtype]
        if len(types) != len(sent) or not all(
            type_.matches(each) for type_, each in zip(types, sent, strict=True)
        ):
            raise errors.wrong_table()
        rowtype = [column.copy() for column in result.rowtype]
        for column, (name, _) in zip(rowtype, columns, strict=True):
            column["name"] = name
        return replace(result, rowtype=rowtype)

    def _scalar(self, value: Any) -> Result:
        type_ = self._procedure.returns
        assert type_ is not None
        if not type_.holds(value):
            raise errors.wrong_type(self._procedure.name, type_.text, 0, 0)
        text = f'SELECT CAST(? AS {type_.text}) AS "{self._procedure.name}"'
        return self._database.evaluate(self._body, text, [value])


def _single(result: Result) -> Any:
    """The value of a SELECT that returns at most one row; ``None`` for no row."""
    assert result.table is not None
    if result.table.num_rows > 1:
        raise SnowflakeError("090150", "Single-row subquery returns more than one row.", "22000")
    return result.table.column(0)[0].as_py() if result.table.num_rows else None
