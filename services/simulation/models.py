"""Store models: the duration of statements and the behaviour of locks of three kinds of stores."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any, Final, Literal

import msgspec

from fleet_q.adapters.snowflake.connection import NETWORK_TIMEOUT
from fleet_q.adapters.snowflake.times import MEASURED, SLOTS, Times
from fleet_q.adapters.snowflake.traits import LOCK_TIMEOUT, MOST_WAITERS, TRAITS
from fleet_q.adapters.sqlite.store import BUSY_TIMEOUT
from fleet_q.core.calls import StoreCall
from fleet_q.core.ports import StoreTraits

Kind = Literal["standard", "hybrid", "sqlite"]

KINDS: Final[tuple[Kind, ...]] = ("hybrid", "sqlite", "standard")

IDLE_ABORT: Final = 300.0
"""Seconds after which Snowflake aborts an idle transaction that blocks others (documentation of
transactions, "Aborting transactions"), and a statement whose client is gone if
``ABORT_DETACHED_QUERY`` is set (documentation of parameters)."""

TIME_SIGMA: Final = 0.4


class Statement(msgspec.Struct, frozen=True):
    """One statement. ``seconds``: its median duration on the server once ``locks`` are held and it
    has a slot; ``does``: the call that takes effect at its end, if it is a commit or a query.

    ``needs_slot``: it runs in the warehouse. ``begins_request``: the client sends it; otherwise it
    follows the previous one on the server, as in a stored procedure. ``insert_locks``: locks that
    it needs while INSERTs wait (:class:`~fleet_q.services.simulation.scenario.WaitingInserts`).
    ``keeps_locks``: the transaction goes on after it, although it ``does`` something.
    """

    text: str
    seconds: float
    locks: tuple[str, ...] = ()
    does: StoreCall | None = None
    needs_slot: bool = False
    begins_request: bool = True
    insert_locks: tuple[str, ...] = ()
    keeps_locks: bool = False


Body = Generator[Statement, Any, Any]
"""The statements of a call, each drawn when the one before has ended. It is sent what that one's
call answered, and returns the answer of the whole."""


class Script(msgspec.Struct, frozen=True):
    """How a store carries out a call: by so many ``requests``, with the statements of ``body``.
    ``is_procedure``: the one request is a stored procedure, which rolls back by itself."""

    body: Body
    requests: int = 1
    is_procedure: bool = False


def fixed(*statements: Statement) -> Script:
    """A script that does not depend on what its statements answer."""
    return Script(_fixed(statements), sum(s.begins_request for s in statements))


def _fixed(statements: tuple[Statement, ...]) -> Body:
    answer = None
    for statement in statements:
        returned = yield statement
        answer = answer if statement.does is None else returned
    return answer


class StoreModel(msgspec.Struct, frozen=True, kw_only=True):
    """The properties in which stores differ; all times are in seconds.

    ``request``: around each request, half of it before the server's part and half after it.
    ``begin``, ``commit``, ``select``, ``metadata``, ``update``, ``delete``: median duration of a
    statement on the server; ``insert``: into the tables of steps and pods; ``append``: into logs;
    ``call``: what a stored procedure takes besides its statements.
    ``slots``: statements that the warehouse runs at a time.
    ``row_locks``: locks are on rows; otherwise on tables or the whole file.
    ``most_waiters``: for one lock; another one is rejected at once. ``None`` is no limit.
    ``lock_timeout``: after which a waiting statement fails; ``statement_timeout``: the same for one
    that waits for locks or slots, since its request arrived.
    ``idle_abort``: after which the transaction of a silent client is rolled back.
    ``outlives_client``: statements, and transactions for ``idle_abort``, go on without a client.
    ``abort_detached``: a statement that waits is aborted ``idle_abort`` after its client's death.
    ``time_sigma``: sigma of the log-normal distribution of durations.
    ``traits``: the properties that pods know.
    ``records_starts``: after a pod's death it is known which functions began.
    """

    kind: Kind
    request: float = 0.0
    begin: float
    commit: float
    select: float
    metadata: float
    update: float
    standard_update: float = 0.0
    delete: float
    insert: float
    append: float
    call: float = 0.0
    slots: float = math.inf
    row_locks: bool
    most_waiters: int | None
    lock_timeout: float
    statement_timeout: float = math.inf
    idle_abort: float
    outlives_client: bool
    abort_detached: bool = False
    time_sigma: float = TIME_SIGMA
    traits: StoreTraits
    records_starts: bool = False


def standard(times: Times = MEASURED, clusters: int = 1) -> StoreModel:
    """Snowflake's standard tables: UPDATE, DELETE and MERGE lock the table, INSERT does not. A
    connector gives up a statement after its timeout."""
    return StoreModel(
        kind="standard",
        request=times.request,
        begin=times.begin,
        commit=times.commit,
        select=times.select,
        metadata=times.metadata,
        update=times.update,
        standard_update=times.update,
        delete=times.delete,
        insert=times.insert,
        append=times.insert,
        call=times.call,
        slots=SLOTS * clusters,
        row_locks=False,
        most_waiters=MOST_WAITERS,
        lock_timeout=LOCK_TIMEOUT,
        statement_timeout=NETWORK_TIMEOUT,
        idle_abort=IDLE_ABORT,
        outlives_client=True,
        traits=TRAITS,
    )


def hybrid(times: Times = MEASURED, clusters: int = 1) -> StoreModel:
    """Snowflake's hybrid tables of steps and pods: locks on rows; the logs are standard tables. Two
    claims need the same rows, those at the head of the queue, so one waits for the other, until the
    connector's timeout; outcomes and heartbeats need rows that no other pod does."""
    return msgspec.structs.replace(
        standard(times, clusters),
        kind="hybrid",
        select=times.hybrid_select,
        update=times.hybrid_update,
        delete=times.hybrid_update,
        insert=times.hybrid_insert,
        row_locks=True,
        most_waiters=None,
    )


SQLITE: Final = StoreModel(
    kind="sqlite",
    begin=5e-6,
    commit=4e-5,
    select=1e-5,
    metadata=1e-5,
    update=2e-5,
    delete=2e-5,
    insert=1e-5,
    append=1e-5,
    row_locks=False,
    most_waiters=None,
    lock_timeout=BUSY_TIMEOUT,
    idle_abort=math.inf,
    outlives_client=False,
    traits=StoreTraits(poll_interval=1.0),
    records_starts=True,
)
"""A SQLite file: one writer at a time; waiting longer than the adapter's ``BUSY_TIMEOUT`` fails.
The lock ends with its process."""


def store_model(kind: Kind, times: Times = MEASURED, clusters: int = 1) -> StoreModel:
    """The model of a kind of store; ``times`` and ``clusters`` of the warehouse are Snowflake's."""
    match kind:
        case "standard":
            return standard(times, clusters)
        case "hybrid":
            return hybrid(times, clusters)
        case "sqlite":
            return SQLITE
