"""How three kinds of stores behave in time: how long statements take, and what locks are like."""

from __future__ import annotations

import math
from typing import Final, Literal

import msgspec

from fleet_q.adapters.snowflake.connection import NETWORK_TIMEOUT
from fleet_q.adapters.snowflake.traits import ABANDONED, LOCK_TIMEOUT, MOST_WAITERS, TRAITS
from fleet_q.adapters.sqlite.store import BUSY_TIMEOUT
from fleet_q.core.calls import StoreCall
from fleet_q.core.ports import StoreTraits

Kind = Literal["standard", "hybrid", "sqlite"]


class Statement(msgspec.Struct, frozen=True):
    """One round trip: ``seconds`` that it takes at the median once its locks are held, and the
    call that is carried out at its end, if it is a commit or a query."""

    text: str
    seconds: float
    locks: tuple[str, ...] = ()
    does: StoreCall | None = None


Script = tuple[Statement, ...]


class StoreModel(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between the kinds.

    ``rows``: locks are on rows, not on tables or the whole file. ``most_waiters`` for one lock;
    one more fails at once. ``lock_timeout``: seconds after which a waiting statement fails.
    ``idle_abort``: seconds after which a transaction is rolled back whose client says nothing; if
    ``outlives_client``, it keeps its locks as long when the client is gone, unless the fleet ends
    it where it has kept others waiting for ``abandoned`` seconds. ``spread``: of the
    statements' times, as the sigma of a log-normal distribution. ``traits`` is what pods know.
    ``records_starts``: after a pod's death it is known which functions began.
    """

    kind: Kind
    begin: float
    update: float
    insert: float
    select: float
    commit: float
    rows: bool
    most_waiters: int | None
    lock_timeout: float
    idle_abort: float
    outlives_client: bool
    abandoned: float
    spread: float
    traits: StoreTraits
    records_starts: bool = False


STANDARD: Final = StoreModel(
    kind="standard",
    begin=0.03,
    update=0.25,
    insert=0.15,
    select=0.10,
    commit=0.10,
    rows=False,
    most_waiters=MOST_WAITERS,
    lock_timeout=LOCK_TIMEOUT,
    idle_abort=300.0,
    outlives_client=True,
    abandoned=ABANDONED,
    spread=0.4,
    traits=TRAITS,
)
"""Snowflake's standard tables: a lock on the table for every UPDATE, none for INSERT. A transaction
whose session is gone is aborted after five minutes if it blocks another (documentation of
transactions, "Aborting transactions"). The times are those of small statements on a warm X-Small
warehouse, to the order of magnitude."""

HYBRID: Final = StoreModel(
    kind="hybrid",
    begin=0.005,
    update=0.025,
    insert=0.015,
    select=0.015,
    commit=0.015,
    rows=True,
    most_waiters=None,
    lock_timeout=NETWORK_TIMEOUT,
    idle_abort=300.0,
    outlives_client=True,
    abandoned=ABANDONED,
    spread=0.4,
    traits=TRAITS,
)
"""Snowflake's hybrid tables: locks on rows. Two claims want the same rows, those at the head of
the queue, so one waits for the other, until the connector gives it up; results and heartbeats meet
nobody."""

SQLITE: Final = StoreModel(
    kind="sqlite",
    begin=5e-6,
    update=2e-5,
    insert=1e-5,
    select=1e-5,
    commit=4e-5,
    rows=False,
    most_waiters=None,
    lock_timeout=BUSY_TIMEOUT,
    idle_abort=math.inf,
    outlives_client=False,
    abandoned=math.inf,
    spread=0.4,
    traits=StoreTraits(poll_interval=1.0),
    records_starts=True,
)
"""A SQLite file: one writer at a time; who waits longer than the adapter's ``BUSY_TIMEOUT`` fails.
The file's lock goes with its process."""

MODELS: Final[dict[str, StoreModel]] = {each.kind: each for each in (STANDARD, HYBRID, SQLITE)}
