"""Runs statements on fakesnow's DuckDB with Snowflake's locks and transactions.

Everything runs on one event loop, and DuckDB runs one statement at a time. Only waits overlap: for
locks, and for the latency that a test has set.
"""

from __future__ import annotations

import asyncio
import time
import warnings
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow
import snowflake.connector.errors
from fakesnow import info_schema
from fakesnow.fakes import FakeSnowflakeConnection
from fakesnow.instance import FakeSnow
from fakesnow.rowtype import ColumnInfo, describe_as_rowtype
from sqlglot.errors import SqlglotError

from . import answers, commands, errors
from .answers import Result
from .errors import SnowflakeError
from .locks import TableLocks
from .log import Entry
from .plans import RUN, Plan, Plans, TableDefinition, with_names_inlined
from .sessions import Session
from .transactions import Commits, Transaction

warnings.filterwarnings("ignore", message="Arrow output on a DB-API result")

_PRIVILEGES: Final = {"select": "SELECT", "insert": "INSERT", "update": "UPDATE",
                      "delete": "DELETE", "truncate": "TRUNCATE", "merge": "UPDATE"}  # fmt: skip
_MERGED: Final = ("INSERT", "UPDATE", "DELETE")

_FLATTEN: Final = """
CREATE OR REPLACE MACRO {}._fs_flatten(input) AS TABLE
SELECT
    1 AS SEQ, CASE WHEN fullkey LIKE '%]' THEN NULL ELSE key END AS KEY, fullkey AS PATH,
    (row_number() OVER () - 1)::BIGINT AS INDEX, value AS VALUE, input AS THIS
FROM json_each(input)
WHERE fullkey <> '$'
"""
"""FLATTEN as a macro. DuckDB plans it in a third of the time that fakesnow's own takes, which is a
large part of a statement's time here."""


class Database:
    """The data, and the locks on it."""

    def __init__(self, data: Path | None = None) -> None:
        self.fakesnow = FakeSnow(db_path=data)
        self.fakesnow.duck_conn.execute("SET threads = 1")  # statements here are small
        self.locks: TableLocks[Session] = TableLocks()
        self._plans = Plans()
        self._commits = Commits()
        self._databases: set[str] = set()
        self._rowtypes: dict[tuple[str, object], list[ColumnInfo]] = {}

    async def run(self, session: Session, text: str, values: list[Any]) -> tuple[Entry, Result]:
        """Run a statement. Raises ``SnowflakeError``."""
        text, values = with_names_inlined(text, values)
        entry = Entry(
            text,
            "other",
            session.id,
            session.query_tag,
            session.user,
            time.time(),
            len(values),
            transaction=session.transaction.id if session.transaction else None,
        )
        session.scene.log.append(entry)
        try:
            plan = self._plans.find(text, session.connection)
            entry.kind = plan.kind
            await _pass(session.scene.latency / 2)
            result = await self._dispatch(session, plan, text, values, entry)
            entry.rows = result.count
            return entry, result
        except SnowflakeError as error:
            entry.error = error.code
            raise
        except snowflake.connector.errors.Error as error:
            entry.error = f"{error.errno:06d}"
            message = error.raw_msg or str(error)
            raise SnowflakeError(entry.error, message, error.sqlstate) from None
        except (duckdb.Error, SqlglotError, NotImplementedError) as error:
            translated = _translated(error)
            entry.error = translated.code
            raise translated from error
        finally:
            entry.ended = time.time()
            session.idle_since = time.monotonic()

    def connect(self, database: str | None, schema: str | None) -> FakeSnowflakeConnection:
        """Open a connection of fakesnow to a schema, which is created if it does not exist."""
        connection = self.fakesnow.connect(database, schema)
        if connection.database is not None and connection.database not in self._databases:
            self._databases.add(connection.database)
            connection._duck_conn.execute(_FLATTEN.format(connection.database))
        return connection

    def roll_back(self, session: Session, entry: Entry | None = None) -> None:
        """Roll back the session's transaction, if there is one."""
        transaction, session.transaction = session.transaction, None
        if transaction is not None and transaction.has_begun:
            session.connection._duck_conn.execute("ROLLBACK")
        self._release(session, entry)

    def abort(self, transaction: int) -> bool:
        """Roll back a transaction that holds locks, unless it runs a statement; returns whether it
        did."""
        for _, holder, _ in self.locks.all():
            found = holder.transaction is not None and holder.transaction.id == transaction
            if found and not holder.request.locked():
                self.roll_back(holder)
                return True
        return False

    def end(self, session: Session) -> None:
        """End the session: roll back its transaction and release its locks."""
        self.locks.give_up(session)
        self.roll_back(session)
        session.connection.close()

    async def _dispatch(
        self, session: Session, plan: Plan, text: str, values: list[Any], entry: Entry
    ) -> Result:
        if plan.kind in RUN or plan.locks:
            return await self._by_plan(session, plan, text, values, entry)
        await _pass(session.scene.latency / 2)
        if plan.kind == "begin":
            if session.transaction is None:
                session.transaction = Transaction(session.scene.now(), name=plan.transaction_name)
            entry.transaction = session.transaction.id
        elif plan.kind == "commit":
            self._commit(session, entry)
        elif plan.kind == "rollback":
            self.roll_back(session, entry)
        else:
            return self._other(session, plan, text, values, entry)
        return answers.done(plan.type_id)

    def _other(
        self, session: Session, plan: Plan, text: str, values: list[Any], entry: Entry
    ) -> Result:
        if plan.kind == "ddl":
            self._commit(session, entry)
        found = commands.answer(text, session, self)
        if found is not None:
            return found
        if plan.table is not None:
            return self._define(session, plan, plan.table)
        return self._by_fakesnow(session, text, values, plan)

    async def _by_plan(
        self, session: Session, plan: Plan, text: str, values: list[Any], entry: Entry
    ) -> Result:
        where = session.connection.database, session.connection.schema
        reads = [table.within(*where) for table in plan.reads]
        target = plan.target.within(*where) if plan.target is not None else None
        entry.reads, entry.target = reads, target
        _check_privileges(session, plan)
        if plan.writes and session.transaction is None and not session.autocommit:
            session.transaction = Transaction(session.scene.now())
            entry.transaction = session.transaction.id
        if plan.locks and target is not None:
            await self._lock(session, target, entry)
        await _pass(session.scene.latency / 2)
        transaction = session.transaction
        wrote_before = transaction is not None and bool(transaction.written)
        try:
            if transaction is not None:
                self._prepare(session, transaction, plan, reads, target)
            result = self._execute(session, plan, text, values)
        except BaseException:
            if transaction is None:
                self._release(session, entry)
            else:
                transaction.fail(session.connection._duck_conn, wrote_before)
            raise
        if plan.kind == "select":
            self._price(session, plan, text, values, reads, result, entry)
        else:
            entry.warehouse = True
        if transaction is None and target is not None:
            self._commits.add([target])
            self._release(session, entry)
        return result

    def _prepare(
        self,
        session: Session,
        transaction: Transaction,
        plan: Plan,
        reads: list[str],
        target: str | None,
    ) -> None:
        if transaction.lost:
            raise errors.lost_transaction()
        duck = session.connection._duck_conn
        touched = [*reads, target] if plan.locks and target is not None else reads
        transaction.prepare(duck, self._commits, touched, plan.writes)
        if target is not None:
            transaction.note_write(duck, target, plan.kind)

    def _execute(self, session: Session, plan: Plan, text: str, values: list[Any]) -> Result:
        if plan.sql is None:
            return self._by_fakesnow(session, text, values, plan)
        bound = {f"p{number}": value for number, value in enumerate(values, 1)}
        bound |= session.values(plan.session_values)
        duck = session.connection._duck_conn
        try:
            duck.execute(plan.statement or plan.sql, bound or None)
            if plan.kind == "select":
                table: pyarrow.Table = duck.to_arrow_table()
            else:
                rows = duck.fetchall()
        except duckdb.InvalidInputException as error:
            raise SnowflakeError("002049", f"SQL compilation error:\n{error}", "42601") from None
        if plan.kind == "select":
            return Result(self._rowtype(session, plan.sql, bound, table.schema), 4096, table)
        if plan.kind == "merge":
            actions = [row[0] for row in rows]
            counts = tuple(actions.count(action) for action in _MERGED)
        else:
            counts = (int(rows[0][0]),)
        return answers.counted(plan.kind, plan.type_id, counts)

    def _define(self, session: Session, plan: Plan, table: TableDefinition) -> Result:
        """Create a table, and store the metadata that fakesnow stores."""
        duck = session.connection._duck_conn
        duck.execute(plan.statement or plan.sql or "")
        where = (
            table.name.database or session.connection.database or "",
            table.name.schema or session.connection.schema or "",
            table.name.name.upper(),
        )
        if table.comment is not None:
            duck.execute(info_schema.insert_table_comment_sql(*where, table.comment))
        if table.text_lengths:
            duck.execute(info_schema.insert_text_lengths_sql(*where, list(table.text_lengths)))
        done = f"Table {where[2]} successfully created."
        return answers.texts(("status",), [(done,)], plan.type_id)

    def _rowtype(
        self, session: Session, sql: str, bound: dict[str, Any], schema: Any
    ) -> list[ColumnInfo]:
        key = (sql, str(schema))
        if key not in self._rowtypes:
            duck = session.connection._duck_conn
            described = duck.execute(f"DESCRIBE {sql}", bound or None).fetchall()
            self._rowtypes[key] = describe_as_rowtype(described)
        return self._rowtypes[key]

    def _by_fakesnow(self, session: Session, text: str, values: list[Any], plan: Plan) -> Result:
        cursor = session.connection.cursor()
        cursor.execute(text, binding_params=tuple(values) or None, server=True)
        rowtype = describe_as_rowtype(cursor._describe_last_sql())
        return Result(rowtype, plan.type_id, cursor._arrow_table)

    def _price(
        self,
        session: Session,
        plan: Plan,
        text: str,
        values: list[Any],
        reads: list[str],
        result: Result,
        entry: Entry,
    ) -> None:
        """Record whether Snowflake would need a warehouse for this SELECT."""
        own = session.transaction.written if session.transaction is not None else set()
        if plan.repeatable and reads and own.isdisjoint(reads):
            key = (text, repr(values), session.connection.database, session.connection.schema)
            changed = [self._commits.last(table) for table in reads]
            entry.cached = session.scene.cache.has(key, changed, self._commits.latest, time.time())
        of_texts = any(column["type"] == "text" for column in result.rowtype)
        from_metadata = plan.counts_only and not of_texts
        entry.warehouse = bool(reads) and not entry.cached and not from_metadata

    async def _lock(self, session: Session, table: str, entry: Entry) -> None:
        """Wait for the lock of a table. A holder that has been idle for too long is rolled back."""
        if not self.locks.held_by(session):
            session.locked_since = 0.0
        granted = self.locks.ask(session, table, session.scene.waiters)
        began = time.monotonic()
        try:
            while granted is not None and not granted.done():
                holder = self.locks.holder(table)
                assert holder is not None
                left = began + session.lock_timeout - time.monotonic()
                patience = min(left, holder.scene.idle_abort - holder.idle_for)
                await asyncio.wait({granted}, timeout=max(patience, 0.001))
                if granted.done():
                    break
                if time.monotonic() - began >= session.lock_timeout:
                    self.locks.give_up(session)
                    raise errors.lock_timeout(table, session.lock_timeout)
                if holder.idle_for >= holder.scene.idle_abort:
                    self.roll_back(holder)
            if granted is not None and granted.cancelled():
                raise errors.canceled()
        finally:
            entry.waited = time.monotonic() - began if granted is not None else 0.0
        entry.locked = time.time()
        session.locked_since = session.locked_since or time.monotonic()
        if session.transaction is not None:
            session.transaction.locked = session.transaction.locked or session.scene.now()

    def _commit(self, session: Session, entry: Entry) -> None:
        transaction, session.transaction = session.transaction, None
        try:
            if transaction is not None and transaction.has_begun:
                duck = session.connection._duck_conn
                if transaction.lost:
                    duck.execute("ROLLBACK")
                    raise errors.lost_transaction()
                duck.execute("COMMIT")
                self._commits.add(transaction.written)
        finally:
            self._release(session, entry)

    def _release(self, session: Session, entry: Entry | None) -> None:
        if self.locks.held_by(session):
            if entry is not None:
                entry.held = time.monotonic() - session.locked_since
            self.locks.release(session)


async def _pass(seconds: float) -> None:
    if seconds:
        await asyncio.sleep(seconds)


def _check_privileges(session: Session, plan: Plan) -> None:
    wanted = {("SELECT", table.name.upper()) for table in plan.reads}
    if plan.target is not None:
        wanted.discard(("SELECT", plan.target.name.upper()))
        wanted.add((_PRIVILEGES[plan.kind], plan.target.name.upper()))
    for privilege, table in session.scene.denied:
        if (privilege.upper(), table.upper()) in wanted:
            raise errors.no_privilege(table)


def _translated(error: Exception) -> SnowflakeError:
    message = str(error).split("\n\n")[0]
    match error:
        case duckdb.ConnectionException():  # closed while the statement waited
            return errors.session_gone()
        case duckdb.CatalogException():
            name = message.partition("with name ")[2].split(" ")[0]
            return errors.no_table(name.upper()) if name else _compilation(message)
        case duckdb.BinderException() | duckdb.ParserException():
            return _compilation(message)
        case duckdb.ConstraintException():
            return SnowflakeError(
                "100072", f"NULL result in a non-nullable column ({message})", "22000"
            )
        case duckdb.ConversionException() | duckdb.OutOfRangeException():
            return SnowflakeError("100038", message, "22018")
        case _:
            return errors.not_provided(f"{type(error).__name__}: {message}")


def _compilation(message: str) -> SnowflakeError:
    return SnowflakeError("000904", f"SQL compilation error:\n{message}", "42000")
