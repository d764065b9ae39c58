"""How many steps there are in each status."""

from __future__ import annotations

from fleet_q.core.lifecycle import STEP_STATUSES
from fleet_q.core.ports import Store

from .clock import SECOND
from .helpers import completed_step, failed_step, held_step, submit


def test_an_empty_store_counts_zeros(store: Store) -> None:
    assert store.counts() == dict.fromkeys(STEP_STATUSES, 0)


def test_every_status_is_counted(store: Store) -> None:
    completed_step(store, "completed 1")
    completed_step(store, "completed 2")
    failed_step(store, "failed")
    held_step(store, "claimed")
    submit(store, "waiting", delay=SECOND)
    submit(store, "ready", "cancelled")
    store.cancel("cancelled")
    submit(store, "waits", parents='{"claimed":"success"}')

    assert store.counts() == {
        "pending": 2,
        "waiting": 1,
        "claimed": 1,
        "completed": 2,
        "failed": 1,
        "cancelled": 1,
    }
