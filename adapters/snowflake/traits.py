"""Snowflake's traits as a store. This module does not import the connector."""

from __future__ import annotations

from typing import Final

from fleet_q.core.ports import StoreTraits

MOST_WAITERS: Final = 20
"""How many statements may wait for a table's lock; a further one fails with error 000625."""

LOCK_TIMEOUT: Final = 30
"""Seconds after which Snowflake fails a statement that waits for a lock. This is less than the
connector's timeout: a statement that the connector gave up would still run, in a transaction that
nobody ends."""

ABANDONED_AFTER: Final = 60.0
"""Seconds after which a transaction that holds locks counts as abandoned. A pod's transaction holds
its locks for two or three seconds. A slow one that is ended notices it and is retried."""

PRUNE_BATCH: Final = 20_000
"""Steps pruned in one transaction. It is large because a DELETE rewrites whole micro-partitions;
the ids, of at most 200 characters each, are one bound text of about 4 MiB."""

SHORTEST_SYNC: Final = 0.5
"""Seconds that a sync's statements take if none waits for a lock."""

TRAITS: Final = StoreTraits(
    writes_are_billed=True,
    prune_batch=PRUNE_BATCH,
    most_waiters=MOST_WAITERS,
    shortest_sync=SHORTEST_SYNC,
)
