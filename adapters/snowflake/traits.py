"""Snowflake's traits as a store. This module does not import the connector."""

from __future__ import annotations

from typing import Final

from fleet_q.core.ports import StoreTraits

MOST_WAITERS: Final = 20
"""How many statements may wait for a table's lock; a further one fails with error 000625."""

LOCK_TIMEOUT: Final = 30
"""Seconds after which Snowflake fails a statement that waits for a lock. This is less than the
connector's timeout: a call that the connector gave up would still run."""

PRUNE_BATCH: Final = 20_000
"""Steps pruned in one transaction. It is large because a DELETE rewrites whole micro-partitions;
the ids, of at most 200 characters each, are one bound text of about 4 MiB."""

SUBMISSION_SIZE: Final = 7 * 1024 * 1024
"""Bytes of payloads in one submission. Escapes at most double a JSON text, so that it fits into a
VARCHAR of 16 MiB with ids and options (documentation of string data types)."""

SHORTEST_SYNC: Final = 0.5
"""Seconds that a sync's statements take if none waits for a lock."""

TRAITS: Final = StoreTraits(
    writes_are_billed=True,
    prune_batch=PRUNE_BATCH,
    most_waiters=MOST_WAITERS,
    combines=True,
    submission_size=SUBMISSION_SIZE,
    shortest_sync=SHORTEST_SYNC,
)
