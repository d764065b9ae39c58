"""Store models: the duration of statements and the behaviour of locks of three kinds of stores."""

from __future__ import annotations

import math
from typing import Final, Literal

import msgspec

from fleet_q.adapters.snowflake.connection import NETWORK_TIMEOUT
from fleet_q.adapters.snowflake.traits import ABANDONED_AFTER, LOCK_TIMEOUT, MOST_WAITERS, TRAITS
from fleet_q.adapters.sqlite.store import BUSY_TIMEOUT
from fleet_q.core.calls import StoreCall
from fleet_q.core.ports import StoreTraits

Kind = Literal["standard", "hybrid", "sqlite"]


class Statement(msgspec.Struct, frozen=True):
    """One round trip. ``seconds``: its median duration once ``locks`` are held; ``does``: the call
    that is carried out at its end, if it is a commit or a query."""

    text: str
    seconds: float
    locks: tuple[str, ...] = ()
    does: StoreCall | None = None


Script = tuple[Statement, ...]


class StoreModel(msgspec.Struct, frozen=True, kw_only=True):
    """The properties in which stores differ; all times are in seconds.

    ``begin``, ``update``, ``insert``, ``select``, ``commit``: median duration of a statement.
    ``row_locks``: locks are on rows; otherwise on tables or the whole file.
    ``most_waiters``: for one lock; another one is rejected at once. ``None`` is no limit.
    ``lock_timeout``: after which a waiting statement fails.
    ``idle_abort``: after which the transaction of a silent client is rolled back.
    ``outlives_client``: the transaction of a client that is gone is kept for ``idle_abort``, too.
    ``abandoned_after``: after which pods abort such a transaction if it blocks others.
    ``time_sigma``: sigma of the log-normal distribution of durations.
    ``traits``: the properties that pods know.
    ``records_starts``: after a pod's death it is known which functions began.
    """

    kind: Kind
    begin: float
    update: float
    insert: float
    select: float
    commit: float
    row_locks: bool
    most_waiters: int | None
    lock_timeout: float
    idle_abort: float
    outlives_client: bool
    abandoned_after: float
    time_sigma: float
    traits: StoreTraits
    records_starts: bool = False


STANDARD: Final = StoreModel(
    kind="standard",
    begin=0.03,
    update=0.25,
    insert=0.15,
    select=0.10,
    commit=0.10,
    row_locks=False,
    most_waiters=MOST_WAITERS,
    lock_timeout=LOCK_TIMEOUT,
    idle_abort=300.0,
    outlives_client=True,
    abandoned_after=ABANDONED_AFTER,
    time_sigma=0.4,
    traits=TRAITS,
)
"""Snowflake's standard tables: UPDATE locks the table, INSERT locks nothing. A transaction whose
session is gone is aborted after five minutes if it blocks another one (Snowflake's documentation of
transactions, "Aborting transactions"). The durations are the order of magnitude of small statements
on a warm X-Small warehouse."""

HYBRID: Final = StoreModel(
    kind="hybrid",
    begin=0.005,
    update=0.025,
    insert=0.015,
    select=0.015,
    commit=0.015,
    row_locks=True,
    most_waiters=None,
    lock_timeout=NETWORK_TIMEOUT,
    idle_abort=300.0,
    outlives_client=True,
    abandoned_after=ABANDONED_AFTER,
    time_sigma=0.4,
    traits=TRAITS,
)
"""Snowflake's hybrid tables: locks on rows. Two claims need the same rows, those at the head of the
queue, so one waits for the other, until the connector's timeout; outcomes and heartbeats need rows
that no other pod does."""

SQLITE: Final = StoreModel(
    kind="sqlite",
    begin=5e-6,
    update=2e-5,
    insert=1e-5,
    select=1e-5,
    commit=4e-5,
    row_locks=False,
    most_waiters=None,
    lock_timeout=BUSY_TIMEOUT,
    idle_abort=math.inf,
    outlives_client=False,
    abandoned_after=math.inf,
    time_sigma=0.4,
    traits=StoreTraits(poll_interval=1.0),
    records_starts=True,
)
"""A SQLite file: one writer at a time; waiting longer than the adapter's ``BUSY_TIMEOUT`` fails.
The lock ends with its process."""

STORE_MODELS: Final[dict[str, StoreModel]] = {
    model.kind: model for model in (STANDARD, HYBRID, SQLITE)
}
