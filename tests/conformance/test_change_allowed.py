"""Changes of many steps: those that the lifecycle allows are carried out."""

from __future__ import annotations

from fleet_q.core.events import Reprioritized
from fleet_q.core.ports import Store
from fleet_q.core.step import Cancel, Replay, Reprioritize

from .helpers import (
    claim,
    completed_step,
    facts,
    failed_step,
    held_step,
    join,
    known,
    snapshot_of,
    submit,
)


def test_only_steps_that_are_not_final_are_cancelled(store: Store) -> None:
    completed_step(store, "completed")
    held_step(store, "claimed")
    submit(store, "pending")

    changed = store.change_allowed([Cancel(s) for s in ("completed", "claimed", "none", "pending")])

    assert sorted(changed) == ["claimed", "pending"]
    assert known(store, "pending").status == known(store, "claimed").status == "cancelled"
    assert known(store, "completed").status == "completed"


def test_only_failed_and_cancelled_steps_are_replayed(store: Store) -> None:
    failed_step(store, "failed")
    submit(store, "pending", "cancelled")
    store.cancel("cancelled")

    changed = store.change_allowed([Replay(s) for s in ("pending", "failed", "cancelled")])

    assert sorted(changed) == ["cancelled", "failed"]
    assert facts(store, "failed")[-1] == "replayed"


def test_priority_of_pending_steps_is_changed(store: Store) -> None:
    held_step(store, "claimed")
    submit(store, "old", "changed")

    assert store.change_allowed([Reprioritize("claimed", 9), Reprioritize("changed", 9)]) == [
        "changed"
    ]

    assert [known(store, s).priority for s in ("claimed", "old", "changed")] == [0, 0, 9]
    assert store.history("changed")[-1].fact == Reprioritized(9)
    assert claim(store, 2) == ["changed", "old"]


def test_changes_that_were_carried_out_are_not_repeated(store: Store) -> None:
    join(store)
    submit(store, "one", "two", priority=5)
    store.cancel("two")
    before = snapshot_of(store)

    assert store.change_allowed([Reprioritize("one", 5)]) == []
    assert store.change_allowed([Cancel("two")]) == []
    assert store.change_allowed([]) == []

    assert snapshot_of(store) == before
