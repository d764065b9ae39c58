"""Runs a prune cycle to its end in the calling thread, as the command and the app do."""

from __future__ import annotations

import time
from collections.abc import Callable

from fleet_q.core.calls import run
from fleet_q.core.cycle import Cycle
from fleet_q.core.ports import Store


def run_prune(store: Store, cycle: Cycle, on_batch: Callable[[], object]) -> None:
    """Run a prune cycle with its pauses, in which other pods can use the store. ``on_batch`` is
    called after each batch and may raise to end the prune there."""
    while not cycle.is_over:
        wait = cycle.next_at - time.monotonic()
        if wait > 0:
            on_batch()
            time.sleep(wait)
        run(store, cycle.go_on())
    on_batch()
