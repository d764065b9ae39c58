"""Statement scripts: the statements that the production stores execute for a call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Protocol

from msgspec.structs import replace

from fleet_q.core.calls import StoreCall
from fleet_q.core.pod import Join
from fleet_q.core.ports import SyncRequest
from fleet_q.services.simulation.models import Script, Statement, StoreModel

_FILE: Final = "the file"
_HEAD: Final = "the head of the queue"
HEARTBEAT_LOCKS: Final = frozenset({_FILE, "pod_health"})
"""Locks that every heartbeat needs where locks are not on rows."""

LOGS: Final = {"step_tracker": "step_events", "pod_health": "pod_events"}
"""The log of each table."""

READS: Final = frozenset({"change_counter", "pods", "orphans", "step", "final_steps"})
"""Calls that are one query."""


class Peek(Protocol):
    """What a store queries before it decides which statements to execute."""

    def is_claimable(self) -> bool:
        """Whether a step is pending and due."""


def script(model: StoreModel, call: StoreCall, peek: Peek) -> Script:
    """Return the statements of ``call`` on a store of this model."""
    if call.method == "hold_locks":
        return _hold(model, *call.args)
    if call.method in READS:
        return (_read(model, call),)
    if model.kind == "sqlite":
        return _sqlite(model, call)
    return _Snowflake(model, peek).script(call)


def _read(model: StoreModel, call: StoreCall) -> Statement:
    """The change counter is answered from metadata, without the warehouse."""
    if call.method == "change_counter":
        return Statement("SELECT change_counter", model.metadata, does=call)
    return Statement(f"SELECT {call.method}", model.select, does=call, needs_slot=True)


def _hold(model: StoreModel, seconds: float, pods: tuple[str, ...]) -> Script:
    """A long transaction from outside the fleet. With row locks, it locks the rows of ``pods`` and
    the head of the queue."""
    locks: tuple[str, ...] = (_FILE,) if model.kind == "sqlite" else ("step_tracker", "pod_health")
    if model.row_locks:
        locks = (f"step_tracker {_HEAD}", *(f"pod_health {pod}" for pod in sorted(pods)))
    return (
        Statement("BEGIN", model.begin),
        Statement("UPDATE all", model.update, locks),
        Statement("SELECT slow", seconds),
        Statement("COMMIT", model.commit),
    )


def _sqlite(model: StoreModel, call: StoreCall) -> Script:
    """``EventStore`` on a file: one transaction, which locks the file when it begins."""
    return (
        Statement("BEGIN IMMEDIATE", model.begin, (_FILE,)),
        Statement(call.method, model.update),
        Statement("INSERT events", model.insert),
        Statement("COMMIT", model.commit, does=call),
    )


class _Snowflake:
    """``SnowflakeStore``, on standard and hybrid tables."""

    def __init__(self, model: StoreModel, peek: Peek) -> None:
        self._model = model
        self._peek = peek

    def script(self, call: StoreCall) -> Script:
        if call.method == "sync":
            return self._sync(call.args[0])
        if call.method == "submit":
            if all(new.unique for new in call.args[0]):
                return self._transaction(call, self._insert("step_tracker"))
            return self._transaction(
                call, self._update("fleet_q", ("1",)), self._insert("step_tracker")
            )
        if call.method == "declare_dead":
            silent = tuple(pod.pod_id for pod in call.args[0])
            return self._transaction(call, self._update("pod_health", silent))
        if call.method == "prune":
            step_ids = tuple(_ids(call.args[0]))
            return self._prune(call, ("step_events", "step_tracker"), step_ids)
        if call.method == "prune_pod":
            return self._prune(call, ("pod_events", "pod_health"), (call.args[0].pod_id,))
        return self._transaction(call, self._update("step_tracker", tuple(_ids(call.args[0]))))

    def _prune(self, does: StoreCall, tables: tuple[str, str], rows: tuple[str, ...]) -> Script:
        model = self._model
        deletes = (
            replace(self._update(table, rows), text=f"DELETE {table}", seconds=model.delete)
            for table in tables
        )
        return (
            Statement("BEGIN", model.begin),
            *deletes,
            Statement("COMMIT", model.commit, does=does),
        )

    def _sync(self, request: SyncRequest) -> Script:
        join_script: Script = ()
        if isinstance(request.pod_command, Join):
            join = SyncRequest(
                request.pod_id, request.incarnation, request.pod_command, is_retry=request.is_retry
            )
            join_script = self._transaction(
                StoreCall("sync", (join,)),
                self._update("fleet_q", ("1",)),
                self._update("pod_health", (request.pod_id,)),
                answered=False,
            )
            request = replace(request, pod_command=None)
        does = StoreCall("sync", (request,))
        changes_steps = bool(request.outcomes or request.claim)
        queries_first = not request.outcomes and not request.is_retry
        if queries_first and (request.claim or request.pod_command is None):
            changes_steps = request.claim > 0 and self._peek.is_claimable()
            if not changes_steps and (request.pod_command is None or request.only_if_claimable):
                return (*join_script, self._select("claimable", does))
            join_script = (*join_script, self._select("claimable", None))
        writes: list[Statement] = []
        if changes_steps:
            rows = tuple(outcome.step_id for outcome in request.outcomes)
            writes.append(self._update("step_tracker", (_HEAD, *rows) if request.claim else rows))
        if request.pod_command is not None:
            writes.append(self._update("pod_health", (request.pod_id,)))
        return (*join_script, *self._transaction(does, *writes))

    def _transaction(self, does: StoreCall, *writes: Statement, answered: bool = True) -> Script:
        model = self._model
        statements = [Statement("BEGIN", model.begin)]
        for write in writes:
            statements.append(write)
            log = LOGS.get(write.text.rpartition(" ")[2])
            if log is not None:
                statements.append(self._insert(log))
        statements.append(Statement("COMMIT", model.commit, does=does))
        if answered:
            statements.append(self._select("result", None))
        return tuple(statements)

    def _update(self, table: str, rows: Iterable[str]) -> Statement:
        """Row locks are sorted, so that two claims never deadlock."""
        model = self._model
        locks = tuple(sorted(f"{table} {row}" for row in rows)) if model.row_locks else (table,)
        return Statement(f"UPDATE {table}", model.update, locks, needs_slot=True)

    def _insert(self, table: str) -> Statement:
        model = self._model
        seconds = model.append if table in LOGS.values() else model.insert
        locks = () if model.row_locks and table not in LOGS.values() else (table,)
        return Statement(f"INSERT {table}", seconds, needs_slot=True, insert_locks=locks)

    def _select(self, what: str, does: StoreCall | None) -> Statement:
        return Statement(f"SELECT {what}", self._model.select, does=does, needs_slot=True)


def _ids(arg: Any) -> Iterable[str]:
    if isinstance(arg, str):
        return (arg,)
    return (item if isinstance(item, str) else item.step_id for item in arg)
