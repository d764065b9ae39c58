"""How long Snowflake takes for a statement: one table for simulator, stand-in and probe.

The defaults were measured by one engineer in 2026 on an X-Small warehouse 12 ms from its region,
except those marked as assumed. ``fleet-q doctor --probe`` measures them on another account.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import msgspec

from fleet_q.core.errors import InvalidInput

Seconds = Annotated[float, msgspec.Meta(ge=0, le=3_600)]


class Times(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Durations in seconds. ``request`` is spent around every request; all others are the server's
    part, without waiting for a slot of the warehouse or for a lock.

    ``request``: between the client and the server's part, in both directions together. Measured as
    the difference between client and server (``UPDATE`` 0.66 and 0.39, ``MERGE`` 0.86 and 0.53);
    the same for every statement, client and warehouse size.
    ``select``: a small query; 0.03 to 0.12 was measured.
    ``metadata``: COUNT, MIN and MAX of a table, and cached results, which need no slot of the
    warehouse. Assumed to be the shortest query measured.
    ``insert``: a few rows. Measured.
    ``update``, ``merge``: one row. Measured; assumed not to grow with the few rows of a sync.
    ``delete``: Measured.
    ``begin``, ``commit``: assumed; nobody has measured them.
    ``call``: what a stored procedure takes besides its statements. Assumed.
    ``hybrid_select``: by key, on hybrid tables. 0.09 was measured at the client, less than
    ``request``; the part of the server is assumed.
    ``hybrid_insert``: assumed to take as long as a MERGE.
    ``hybrid_update``, ``hybrid_merge``: one row, on hybrid tables. Measured.
    """

    request: Seconds = 0.28
    select: Seconds = 0.08
    metadata: Seconds = 0.03
    insert: Seconds = 0.32
    update: Seconds = 0.39
    merge: Seconds = 0.53
    delete: Seconds = 0.20
    begin: Seconds = 0.02
    commit: Seconds = 0.05
    call: Seconds = 0.10
    hybrid_select: Seconds = 0.03
    hybrid_insert: Seconds = 0.12
    hybrid_update: Seconds = 0.14
    hybrid_merge: Seconds = 0.12


MEASURED: Final = Times()
"""The measurements described above."""

SLOTS: Final = 8
"""Statements that one cluster of a warehouse runs at a time; others queue. The default of the
warehouse's parameter MAX_CONCURRENCY_LEVEL (documentation of parameters); Snowflake counts small
statements as a fraction of one, so more may run."""


def read_times(path: Path) -> Times:
    """Read a JSON file with the fields of :class:`Times`; those that it lacks are as measured.
    Raises :class:`InvalidInput`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Times)
    except OSError as error:
        raise InvalidInput(f"cannot read the latencies in {path}: {error.strerror}") from None
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"{path} does not hold latencies as JSON: {error}") from None
