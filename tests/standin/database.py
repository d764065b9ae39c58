"""Runs statements on fakesnow's DuckDB with Snowflake's locks and transactions.

Everything runs on one event loop, and DuckDB runs one statement at a time. Only waits overlap: for
locks, and for the latency that a test has set.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from duckdb import DuckDBPyConnection
from fakesnow.fakes import FakeSnowflakeConnection
from fakesnow.instance import FakeSnow

from . import answers, calls, commands, errors, lighter
from .answers import Result
from .checks import check_privileges, check_result, check_usage, check_values
from .errors import SnowflakeError
from .executor import Executor
from .failures import FAILURES, translated
from .locks import TableLocks
from .log import Entry
from .plans import RUN, Plan, Plans, kinds, with_names_inlined
from .procedures import Procedures
from .sessions import Session
from .snapshots import Snapshots
from .transactions import Commits, Transaction
from .waits import lock, slot, spend

warnings.filterwarnings("ignore", message="Arrow output on a DB-API result")

_TIMES: Final = {"begin": "begin", "commit": "commit", "rollback": "commit", "call": "call",
                 "truncate": "delete"}  # fmt: skip
"""The durations of statements by kind, where the names differ; others take as long as metadata."""


class Database:
    """The data, and the locks on it."""

    def __init__(self, data: Path | None = None) -> None:
        self.fakesnow = FakeSnow(db_path=data)
        self.fakesnow.duck_conn.execute("SET threads = 1")  # tables here are small
        self.fakesnow.duck_conn.execute("SET disabled_optimizers = 'join_order'")  # takes longest
        self.locks: TableLocks[Session] = TableLocks()
        self.procedures = Procedures()
        self._plans = Plans()
        self._commits = Commits()
        self._snapshots = Snapshots(self.fakesnow.duck_conn, self._commits)
        self._databases: set[str] = set()
        self._executor = Executor()

    async def run(
        self,
        session: Session,
        text: str,
        values: list[Any],
        call: int | None = None,
        query_id: str | None = None,
    ) -> tuple[Entry, Result]:
        """Run a statement; ``call`` is the number of the CALL that it is part of. Raises
        ``SnowflakeError``."""
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
            call=call,
        )
        entry.query_id = query_id or entry.query_id
        session.scene.log.append(entry)
        session.begin_statement(is_request=call is None)
        try:
            late = _meet_faults(session, entry) if call is not None else None
            check_values(session, values)
            plan = self._plans.find(text, session.connection)
            entry.kind = plan.kind
            result = await self._dispatch(session, plan, text, values, entry)
            entry.rows = result.count
            check_result(session, result)
            if late is not None:
                raise late
            return entry, result
        except SnowflakeError as error:
            error.code = session.scene.numbers.get(error.name, error.code)
            entry.error = error.code
            raise
        except FAILURES as error:
            failure = translated(error)
            entry.error = failure.code
            raise failure from error
        finally:
            entry.ended = time.time()
            session.idle_since = time.monotonic()

    def evaluate(self, session: Session, text: str, values: list[Any]) -> Result:
        """Evaluate an expression that reads no table. Raises ``SnowflakeError``."""
        session.begin_statement(is_request=False)
        try:
            plan = self._plans.find(text, session.connection)
            return self._executor.evaluate(session, plan, text, values)
        except FAILURES as error:
            raise translated(error) from error

    def connect(self, database: str | None, schema: str | None) -> FakeSnowflakeConnection:
        """Open a connection of fakesnow to a schema, which is created if it does not exist."""
        connection = self.fakesnow.connect(database, schema)
        if connection.database is not None and connection.database not in self._databases:
            self._databases.add(connection.database)
            connection._duck_conn.execute(lighter.FLATTEN.format(connection.database))
            self.procedures.load(connection._duck_conn, connection.database)
        return connection

    def roll_back(self, session: Session, entry: Entry | None = None) -> None:
        """Roll back the session's transaction, if there is one."""
        transaction, session.transaction = session.transaction, None
        if transaction is not None and transaction.has_begun:
            session.connection._duck_conn.execute("ROLLBACK")
        self._release(session, entry)

    def note_changes(self, tables: Iterable[str]) -> None:
        """Record that these tables were changed in another way than by a statement."""
        self._commits.add(tables, session=0)  # an id that no session has
        self._snapshots.drop(tables)

    def abort(self, transaction: int) -> bool:
        """Roll back a transaction that holds locks, unless it runs a statement; returns whether it
        did."""
        for _, holder, _ in self.locks.all():
            found = holder.transaction is not None and holder.transaction.id == transaction
            if found and not holder.request.locked():
                self.roll_back(holder)
                return True
        return False

    def drop(self, database: str, schema: str) -> None:
        """Forget what belongs to a schema that is dropped."""
        self.procedures.drop_schema(self.fakesnow.duck_conn, database, schema)
        self._snapshots.drop_schema(database, schema)

    def cancel(self, session: Session) -> None:
        """Cancel the statement that the session runs."""
        session.cancel()
        self.locks.give_up(session)
        if session.callee is not None:
            self.cancel(session.callee)

    def end(self, session: Session) -> None:
        """End the session: roll back its transaction and release its locks."""
        self.cancel(session)
        for each in [session.callee, session]:
            if each is not None:
                self.roll_back(each)
                each.connection.close()

    async def _dispatch(
        self, session: Session, plan: Plan, text: str, values: list[Any], entry: Entry
    ) -> Result:
        if plan.kind in RUN or plan.locks:
            return await self._by_plan(session, plan, text, values, entry)
        await spend(session, session.scene.seconds(_TIMES.get(plan.kind, "metadata")))
        if plan.kind == "call":
            return await self._call(session, text, values, entry)
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

    async def _call(self, session: Session, text: str, values: list[Any], entry: Entry) -> Result:
        connection = session.connection
        procedure, arguments = self.procedures.resolve(text, values, *session.where)
        check_usage(session, procedure)
        entry.warehouse = True
        is_elsewhere = session.where != (procedure.database, procedure.schema)
        if session.transaction is not None or is_elsewhere:
            connection = self.connect(procedure.database, procedure.schema)
        body = session.callee = calls.session_for(session, procedure, connection)
        self.locks.begin_call(session, body)
        try:
            return await calls.call(self, session, body, procedure, arguments, entry.number)
        finally:
            session.callee = None
            self.locks.end_call(session)
            if connection is not session.connection:
                connection.close()

    def _other(
        self, session: Session, plan: Plan, text: str, values: list[Any], entry: Entry
    ) -> Result:
        if plan.kind == "ddl":
            self._commit(session, entry)
        found = commands.answer(text, session, self)
        if found is not None:
            return found
        if plan.table is not None:
            return self._executor.define(session, plan, plan.table)
        return self._executor.by_fakesnow(session, text, values, plan)

    async def _by_plan(
        self, session: Session, plan: Plan, text: str, values: list[Any], entry: Entry
    ) -> Result:
        where = session.connection.database, session.connection.schema
        reads = [table.within(*where) for table in plan.reads]
        target = plan.target.within(*where) if plan.target is not None else None
        entry.reads, entry.target = reads, target
        check_privileges(session, plan)
        if plan.writes and session.transaction is None and not session.autocommit:
            session.transaction = Transaction(session.scene.now())
            entry.transaction = session.transaction.id
        fault = session.scene.faults.of_statement(kinds(text), text)
        if fault is not None:
            entry.fault = fault.kind
            if fault.kind == "reject":
                raise errors.too_many_waiters(target or reads[0], id(fault), fault.limit)
            if fault.kind == "deadlock":
                raise errors.deadlock(target or reads[0])
        old = None
        if fault is not None and fault.kind == "outdated" and plan.kind == "update":
            old = self._snapshots.open(reads)
        if (plan.locks or (fault is not None and fault.kind == "lock")) and target is not None:
            await lock(self.locks, session, target, entry, self.roll_back)
        try:
            return await self._in_time(session, plan, text, values, entry, old)
        except BaseException:
            if session.transaction is None:
                self._release(session, entry)
            raise

    async def _in_time(
        self,
        session: Session,
        plan: Plan,
        text: str,
        values: list[Any],
        entry: Entry,
        old: DuckDBPyConnection | None,
    ) -> Result:
        """Execute a statement that has its lock. A query reads what is committed when it begins,
        and then takes its time; a statement that writes takes its time first. ``old``: where an
        UPDATE reads instead."""
        scene = session.scene
        if plan.writes:
            seconds = scene.seconds(_TIMES.get(plan.kind, plan.kind))
            entry.warehouse = True
            async with slot(session, seconds > 0):
                await spend(session, seconds)
                return self._execute_in_transaction(session, plan, text, values, entry, old)
        entry.cached = self._is_cached(session, plan, text, values, entry.reads)
        needs_warehouse = bool(entry.reads) and not entry.cached and not plan.counts_only
        async with slot(session, needs_warehouse and scene.seconds("select") > 0):
            result = self._execute_in_transaction(session, plan, text, values, entry)
            of_texts = any(column["type"] == "text" for column in result.rowtype)
            entry.warehouse = needs_warehouse or (
                plan.counts_only and of_texts and not entry.cached
            )
            await spend(session, scene.seconds("select" if entry.warehouse else "metadata"))
        return result

    def _execute_in_transaction(
        self,
        session: Session,
        plan: Plan,
        text: str,
        values: list[Any],
        entry: Entry,
        old: DuckDBPyConnection | None = None,
    ) -> Result:
        transaction, target = session.transaction, entry.target
        has_stale_reads = session.scene.faults.has_stale_reads
        stale = self._stale(session, plan, text, entry) if has_stale_reads else None
        if old is not None and plan.source is not None:
            stale = old
            _use_schema(stale, session)
        wrote_before = transaction is not None and bool(transaction.written)
        try:
            if transaction is not None:
                self._prepare(session, transaction, plan, entry.reads, target)
            result = self._executor.execute(session, plan, text, values, stale)
        except BaseException:
            if transaction is not None:
                transaction.fail(session.connection._duck_conn, wrote_before)
            raise
        if transaction is None and target is not None:
            self._commits.add([target], session.id)
            self._release(session, entry)
        return result

    def _stale(
        self, session: Session, plan: Plan, text: str, entry: Entry
    ) -> DuckDBPyConnection | None:
        """The connection for a query, or the query of an INSERT, that does not see the last commit.
        Before a write in autocommit mode, this keeps a snapshot of its table."""
        own = session.transaction.written if session.transaction is not None else set()
        duck = None
        is_read = plan.kind == "select" or (plan.kind == "insert" and plan.source is not None)
        if is_read and own.isdisjoint(entry.reads):
            faults = session.scene.faults
            duck = self._snapshots.stale(faults, entry.reads, text, session.id)
        if duck is not None:
            entry.fault = "stale"
            _use_schema(duck, session)
        if session.transaction is None and entry.target is not None:
            self._snapshots.take([entry.target])
        return duck

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

    def _is_cached(
        self, session: Session, plan: Plan, text: str, values: list[Any], reads: list[str]
    ) -> bool:
        """Whether Snowflake's result cache would answer this query."""
        own = session.transaction.written if session.transaction is not None else set()
        if not (plan.repeatable and reads and own.isdisjoint(reads)):
            return False
        key = (text, repr(values), session.connection.database, session.connection.schema)
        changed = [self._commits.last(table) for table in reads]
        return session.scene.cache.has(key, changed, self._commits.latest, time.time())

    def _commit(self, session: Session, entry: Entry) -> None:
        transaction, session.transaction = session.transaction, None
        try:
            if transaction is not None and transaction.has_begun:
                duck = session.connection._duck_conn
                if transaction.lost:
                    duck.execute("ROLLBACK")
                    raise errors.lost_transaction()
                if session.scene.faults.has_stale_reads:
                    self._snapshots.take(transaction.written)
                duck.execute("COMMIT")
                self._commits.add(transaction.written, session.id)
        finally:
            self._release(session, entry)

    def _release(self, session: Session, entry: Entry | None) -> None:
        if self.locks.held_by(session):
            if entry is not None:
                entry.held = time.monotonic() - session.locked_since
            self.locks.release(session)


def _use_schema(duck: DuckDBPyConnection, session: Session) -> None:
    where = session.connection.database, session.connection.schema
    duck.execute('SET schema = \'"{}"."{}"\''.format(*where))


def _meet_faults(session: Session, entry: Entry) -> SnowflakeError | None:
    """Raise the error of a fault that strikes a statement of a procedure; return one that is to be
    raised after the statement."""
    fault = session.scene.faults.inside(kinds(entry.text), entry.text)
    if fault is None:
        return None
    entry.fault = fault.kind
    if fault.is_late:
        return fault.as_error()
    raise fault.as_error()
