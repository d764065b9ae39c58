"""Pruning all at once, for an operator."""

from __future__ import annotations

import time
from collections.abc import Callable

from fleet_q.core.calls import run
from fleet_q.core.cycle import Cycle
from fleet_q.core.ports import Store


def prune_gently(store: Store, cycle: Cycle, told: Callable[[], object]) -> None:
    """Go through a prune with its pauses, so that the fleet goes on; after each batch, ``told`` is
    called, and may raise to end it there."""
    while not cycle.is_over:
        wait = cycle.next_at - time.monotonic()
        if wait > 0:
            told()
            time.sleep(wait)
        run(store, cycle.go_on())
    told()
