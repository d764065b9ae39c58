"""What Snowflake is like as a store. Asks for no connector."""

from __future__ import annotations

from typing import Final

from fleet_q.core.ports import StoreTraits

MOST_WAITERS: Final = 20
"""Statements that may wait for the lock of a table, as error 000625 says."""

LOCK_TIMEOUT: Final = 30
"""Seconds after which Snowflake fails a statement that waits for a lock: before the connector gives
it up, or it would be carried out with nobody there to end its transaction."""

ABANDONED: Final = 60.0
"""Seconds after which a transaction that holds what others are refused counts as abandoned: a pod's
needs its locks for two or three. One that is only slow finds out, and is done anew."""

PRUNE_BATCH: Final = 20_000
"""Steps pruned in one transaction: a DELETE rewrites whole parts of a table, so there are few; and
the ids, of 200 characters at most, are one bound text of some 4 MiB."""

SHORTEST_SYNC: Final = 0.5
"""Seconds that the statements of a sync take where none waits for a lock."""

TRAITS: Final = StoreTraits(
    writes_are_billed=True,
    prune_batch=PRUNE_BATCH,
    most_waiters=MOST_WAITERS,
    shortest_sync=SHORTEST_SYNC,
)
