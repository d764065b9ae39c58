"""Statement scripts: the statements that the production stores execute for a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fleet_q.core.calls import StoreCall
from fleet_q.services.simulation.models import Script, Statement, StoreModel, fixed
from fleet_q.services.simulation.procedures import HEAD, Procedures
from fleet_q.services.simulation.session import READS

_FILE: Final = "the file"
HEARTBEAT_LOCKS: Final = frozenset({_FILE})
"""Locks that every heartbeat needs. On Snowflake heartbeats are inserted without a lock."""


def script(
    model: StoreModel,
    call: StoreCall,
    actor: Any,
    has_inbox_rows: Callable[[], bool] = lambda: False,
) -> Script:
    """Return the statements of ``call`` on a store of this model. ``has_inbox_rows``: whether an
    answer shows rows of the inbox."""
    if call.method == "hold_locks":
        return fixed(*_hold(model, *call.args))
    if call.method in READS:
        return fixed(_read(model, call))
    if model.kind == "sqlite":
        return fixed(*_sqlite(model, call))
    return Script(Procedures(model, actor, has_inbox_rows).body(call), is_procedure=True)


def _read(model: StoreModel, call: StoreCall) -> Statement:
    """The change counter is answered from metadata, without the warehouse."""
    if call.method == "change_counter":
        return Statement("SELECT change_counter", model.metadata, does=call)
    return Statement(f"SELECT {call.method}", model.select, does=call, needs_slot=True)


def _hold(model: StoreModel, seconds: float, pods: tuple[str, ...]) -> tuple[Statement, ...]:
    """A long transaction from outside the fleet. With row locks, it locks the rows of ``pods`` and
    the head of the queue."""
    locks: tuple[str, ...] = (_FILE,) if model.kind == "sqlite" else ("step_tracker", "pod_health")
    if model.row_locks:
        locks = (f"step_tracker {HEAD}", *(f"pod_health {pod}" for pod in sorted(pods)))
    return (
        Statement("BEGIN", model.begin),
        Statement("UPDATE all", model.update, locks),
        Statement("SELECT slow", seconds),
        Statement("COMMIT", model.commit),
    )


def _sqlite(model: StoreModel, call: StoreCall) -> tuple[Statement, ...]:
    """``EventStore`` on a file: one transaction, which locks the file when it begins."""
    return (
        Statement("BEGIN IMMEDIATE", model.begin, (_FILE,)),
        Statement(call.method, model.update),
        Statement("INSERT events", model.insert),
        Statement("COMMIT", model.commit, does=call),
    )
