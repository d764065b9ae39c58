"""Commands that fakesnow lacks: for sessions, roles, grants, locks and transactions."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from typing import Final, Protocol

from . import errors
from .answers import Result, done, status, texts
from .locks import TableLocks
from .names import short, unquoted
from .procedures import Procedures, like
from .sessions import Session

_GRANTED: Final = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")
_GRANT_COLUMNS: Final = (
    "created_on", "privilege", "granted_on", "name", "granted_to", "grantee_name", "grant_option",
    "granted_by",
)  # fmt: skip
_LOCK_COLUMNS: Final = (
    "resource", "type", "transaction", "transaction_started_on", "status", "acquired_on", "session"
)  # fmt: skip
_TRANSACTION_COLUMNS: Final = ("id", "user", "session", "name", "started_on", "state", "scope")
_PROCEDURE_COLUMNS: Final = (
    "created_on", "name", "schema_name", "is_builtin", "min_num_arguments", "max_num_arguments",
    "arguments", "description", "is_table_function", "is_secure",
)  # fmt: skip
_WAREHOUSE_COLUMNS: Final = (
    "name", "state", "size", "auto_suspend", "auto_resume", "max_cluster_count"
)  # fmt: skip
_PARAMETERS: Final = {"USE_CACHED_RESULT": "true", "READ_CONSISTENCY_MODE": "SESSION",
                      "MAX_CONCURRENCY_LEVEL": "8"}  # fmt: skip
_PERMANENT: Final = ["TABLE", "1"]
_HISTORY_COLUMNS: Final = (
    "query_id", "warehouse_size", "total_elapsed_time", "waited", "query_text"
)  # fmt: skip
_PARAMETER_COLUMNS: Final = ("key", "value", "default", "level")


class Locks(Protocol):
    """The part of the database that the commands use."""

    locks: TableLocks[Session]
    procedures: Procedures

    def abort(self, transaction: int) -> bool:
        """Roll back a transaction; returns whether it was open."""


def answer(text: str, session: Session, database: Locks) -> Result | None:
    """The result of a command that this module handles; ``None`` for any other."""
    for pattern, command in _COMMANDS:
        match = pattern.fullmatch(text.strip().rstrip(";").strip())
        if match is not None:
            return command(match, session, database)
    return None


def _alter_session(match: re.Match[str], session: Session, database: Locks) -> Result:
    for name, value in re.findall(r"(\w+)\s*=\s*('[^']*'|\S+)", match["settings"]):
        session.parameters[name.upper()] = value.strip("'")
    return done()


def _use(match: re.Match[str], session: Session, database: Locks) -> Result:
    setattr(session, match["what"].lower(), match["name"].strip('"').upper())
    return done()


def _nothing(match: re.Match[str], session: Session, database: Locks) -> Result:
    return done()


def _show_grants(match: re.Match[str], session: Session, database: Locks) -> Result:
    """The privileges on the tables of the session's schema, and on schema and warehouse."""
    schema = ".".join(session.where)
    found = session.connection.cursor().execute("SHOW TABLES IN SCHEMA").fetchall()
    names = [str(row[1]) for row in found]
    denies = session.scene.denies
    granted = [
        (privilege, "TABLE", f"{schema}.{name}")
        for name in names
        for privilege in _GRANTED
        if not denies(privilege, name)
    ]
    granted += [("USAGE", "SCHEMA", schema), ("USAGE", "DATABASE", session.where[0])]
    granted += [("USAGE", "WAREHOUSE", session.warehouse)] if session.warehouse else []
    granted += [
        ("USAGE", "PROCEDURE", f'{schema}."{procedure.signature}"')
        for procedure in database.procedures.within(*session.where)
        if not denies("USAGE", procedure.name)
    ]
    table = match["table"]
    rows: list[tuple[str | None, ...]] = [
        ("2024-01-01 00:00:00.000 +0000", *grant, "ROLE", session.role, "false", "SYSADMIN")
        for grant in granted
        if table is None or grant[2].upper().endswith("." + short(table).upper())
    ]
    return texts(_GRANT_COLUMNS, rows)


def _create_procedure(match: re.Match[str], session: Session, database: Locks) -> Result:
    where = session.where
    if session.scene.denies("CREATE PROCEDURE", where[1]):
        raise errors.no_privilege_on_schema(where[1])
    procedure = database.procedures.create(session.connection._duck_conn, match[0], *where)
    return status(f"Function {procedure.name} successfully created.")


def _drop_procedure(match: re.Match[str], session: Session, database: Locks) -> Result:
    name = database.procedures.drop(session.connection._duck_conn, match[0], *session.where)
    return status(f"{name} successfully dropped.")


def _show_procedures(match: re.Match[str], session: Session, database: Locks) -> Result:
    """The procedures of the session's schema that its role may use."""
    pattern = like(match["pattern"] or "%")
    denies = session.scene.denies
    rows: list[tuple[str | None, ...]] = [
        (
            _time(procedure.created),
            procedure.name,
            procedure.schema,
            "N",
            *[str(len(procedure.arguments))] * 2,
            procedure.description,
            procedure.comment or "user-defined procedure",
            "Y" if procedure.returns is None else "N",
            "N",
        )
        for procedure in sorted(
            database.procedures.within(*session.where), key=lambda each: each.key
        )
        if pattern.fullmatch(procedure.name) and not denies("USAGE", procedure.name)
    ]
    return _with_times(texts(_PROCEDURE_COLUMNS, rows))


def _show_locks(match: re.Match[str], session: Session, database: Locks) -> Result:
    found = texts(
        _LOCK_COLUMNS,
        [
            (
                unquoted(table),
                "PARTITIONS",
                str(holder.transaction.id),
                _time(holder.transaction.began),
                status,
                _time(holder.transaction.locked) if status == "HOLDING" else None,
                str(each.id),
            )
            for table, holder, waiting in database.locks.all()
            for each, status in [(holder, "HOLDING"), *((w, "WAITING") for w in waiting)]
            if holder.transaction is not None
        ],
    )
    return _with_times(found)


def _show_transactions(match: re.Match[str], session: Session, database: Locks) -> Result:
    """The transactions that hold a lock; no test needs the others."""
    found = texts(
        _TRANSACTION_COLUMNS,
        [
            (
                str(transaction.id),
                holder.user,
                str(holder.id),
                transaction.name or str(uuid.UUID(int=transaction.id)),
                _time(transaction.began),
                "running",
                "0",
            )
            for holder in {each for _, each, _ in database.locks.all()}
            if (transaction := holder.transaction) is not None
        ],
    )
    return _with_times(found)


def _with_times(found: Result) -> Result:
    for column in found.rowtype:
        if column["name"].endswith("_on"):
            column["type"], column["scale"] = "timestamp_ltz", 9
    return found


def _time(micros: int) -> str:
    return f"{micros / 1_000_000:.6f}000"


def _abort_transaction(match: re.Match[str], session: Session, database: Locks) -> Result:
    id_ = match["id"]
    message = "Aborted transaction" if database.abort(int(id_)) else "No running transaction with"
    return texts((f"SYSTEM$ABORT_TRANSACTION({id_})",), [(f"{message} id: {id_}",)])


def _show_warehouses(match: re.Match[str], session: Session, database: Locks) -> Result:
    scene = session.scene
    suspend = None if scene.auto_suspend is None else str(scene.auto_suspend)
    resume = "true" if scene.auto_resume else "false"
    row: tuple[str | None, ...] = (session.warehouse, "STARTED", "X-Small", suspend, resume, "1")
    return texts(_WAREHOUSE_COLUMNS, [row] if session.warehouse else [])


def _show_parameter(match: re.Match[str], session: Session, database: Locks) -> Result:
    shown = _PARAMETERS | session.parameters | session.scene.parameters
    names = [match["name"].upper()] if match["name"] else sorted(shown)
    rows: list[tuple[str | None, ...]] = [
        (name, _shown(shown[name]), _PARAMETERS.get(name), "") for name in names if name in shown
    ]
    return texts(_PARAMETER_COLUMNS, rows)


def _shown(value: str) -> str:
    return value.lower() if value.lower() in ("true", "false") else value


def _create_transient(match: re.Match[str], session: Session, database: Locks) -> None:
    """Note kind and retention of a table; it is created elsewhere."""
    name = short(match["name"]).upper()
    session.scene.retention.setdefault(name, ["TRANSIENT", match["days"]])


def _set_retention(match: re.Match[str], session: Session, database: Locks) -> Result:
    name = short(match["name"]).upper()
    kind, _ = session.scene.retention.get(name, _PERMANENT)
    session.scene.retention[name] = [kind, match["days"]]
    return done()


def _show_tables(match: re.Match[str], session: Session, database: Locks) -> Result:
    """fakesnow's tables, with their kind and retention."""
    cursor = session.connection.cursor().execute(match[0])
    columns = tuple(column.name for column in cursor.description)
    rows = []
    for row in cursor.fetchall():
        cells = [None if value is None else str(value) for value in row]
        shown = dict(zip(columns, cells, strict=True))
        retention = session.scene.retention.get(shown["name"] or "", _PERMANENT)
        shown["kind"], shown["retention_time"] = retention
        rows.append(tuple(shown.values()))
    return texts(columns, rows)


def _allowlist(match: re.Match[str], session: Session, database: Locks) -> Result:
    return texts(("SYSTEM$ALLOWLIST()",), [(json.dumps(session.scene.allowlist),)])


def _history(match: re.Match[str], session: Session, database: Locks) -> Result:
    """The columns of QUERY_HISTORY_BY_SESSION that the probe reads, of the session's statements."""
    rows: list[tuple[str | None, ...]] = [
        (
            entry.query_id,
            "X-Small" if entry.warehouse else None,
            f"{(entry.ended - entry.began) * 1_000:.0f}",
            f"{entry.waited * 1_000:.0f}",
            entry.text,
        )
        for entry in session.scene.log
        if entry.session == session.id and entry.ended and entry.call is None
    ]
    return texts(_HISTORY_COLUMNS, rows)


def _history_of_user(match: re.Match[str], session: Session, database: Locks) -> Result:
    """Two columns of QUERY_HISTORY_BY_USER, of the user's statements with a tag. Those that run are
    among them, since the call names no end of its range."""
    rows: list[tuple[str | None, ...]] = [
        (
            entry.query_id,
            "RUNNING" if not entry.ended else "FAILED_WITH_ERROR" if entry.error else "SUCCESS",
        )
        for entry in session.scene.log
        if (entry.user, entry.query_tag) == (session.user, match["tag"]) and entry.call is None
    ]
    return texts(("query_id", "execution_status"), rows)


_Command = Callable[[re.Match[str], Session, Locks], Result | None]
_COMMANDS: Final[list[tuple[re.Pattern[str], _Command]]] = [
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), command)
    for pattern, command in [
        (r"ALTER\s+SESSION\s+SET\s+(?P<settings>.*)", _alter_session),
        (r"USE\s+(?P<what>ROLE|WAREHOUSE)\s+(?P<name>\S+)", _use),
        (r"SHOW\s+GRANTS(\s+ON\s+TABLE\s+(?P<table>\S+)|\s+(TO|ON|OF)\s+.*)?", _show_grants),
        (r"CREATE\s+(OR\s+REPLACE\s+)?PROCEDURE\s.*", _create_procedure),
        (r"DROP\s+PROCEDURE\s.*", _drop_procedure),
        (
            r"SHOW\s+PROCEDURES(\s+LIKE\s+'(?P<pattern>[^']*)')?(\s+IN\s+SCHEMA(\s+\S+)?)?",
            _show_procedures,
        ),
        (r"SHOW\s+WAREHOUSES", _show_warehouses),
        (
            r"SHOW\s+PARAMETERS(\s+LIKE\s+'(?P<name>\w+)')?"
            r"\s+IN\s+(SESSION|ACCOUNT|WAREHOUSE\s+\S+)",
            _show_parameter,
        ),
        (
            r"CREATE\s+TRANSIENT\s+TABLE\s+(IF\s+NOT\s+EXISTS\s+)?(?P<name>\S+).*"
            r"DATA_RETENTION_TIME_IN_DAYS\s*=\s*(?P<days>[01])",
            _create_transient,
        ),
        (r"SHOW\s+TABLES(\s+LIKE\s+'[^']*')?", _show_tables),
        (r"SELECT\s+SYSTEM\$ALLOWLIST\(\)", _allowlist),
        (r"SHOW\s+LOCKS(\s+IN\s+ACCOUNT)?", _show_locks),
        (r"SHOW\s+TRANSACTIONS(\s+IN\s+ACCOUNT)?", _show_transactions),
        (r"SELECT\s+SYSTEM\$ABORT_TRANSACTION\((?P<id>\d+)\)", _abort_transaction),
        (r"SELECT\s+query_id\b.*QUERY_HISTORY_BY_SESSION\(.*\)\)", _history),
        (
            r"SELECT\s+query_id,\s+execution_status\s+FROM\s+TABLE\("
            r"INFORMATION_SCHEMA\.QUERY_HISTORY_BY_USER\(RESULT_LIMIT\s+=>\s+\d+\)\)"
            r"\s+WHERE\s+query_tag\s+=\s+'(?P<tag>[^']*)'",
            _history_of_user,
        ),
        (r"(GRANT|REVOKE)\s.*", _nothing),
        (r"(CREATE|ALTER|DROP)\s+(OR\s+REPLACE\s+)?(ROLE|USER|WAREHOUSE)\s.*", _nothing),
        (
            r"ALTER\s+TABLE\s+(?P<name>\S+)\s+SET\s+DATA_RETENTION_TIME_IN_DAYS\s*=\s*(?P<days>[01])",
            _set_retention,
        ),
    ]
]
