"""How a row of a table and what its log says differ."""

from __future__ import annotations

import msgspec


def difference(
    kind: str, name: str, row: msgspec.Struct | None, folded: msgspec.Struct | None
) -> str:
    """How the row of a step, pod, queue or schedule and its folded log, which are not equal,
    differ."""
    if folded is None:
        return f"{kind} {name!r} has a row but no events: nothing of FLEET-Q has written it"
    if row is None:
        return f"{kind} {name!r} has events but no row"
    columns = [c for c in row.__struct_fields__ if getattr(row, c) != getattr(folded, c)]
    return f"{kind} {name!r} differs from its events in {', '.join(columns)}"
