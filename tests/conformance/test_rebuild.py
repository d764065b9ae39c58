"""Both tables from the log alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet_q.core.pod import Leave
from fleet_q.core.ports import RebuildReport, Store, Turn

from .clock import SECOND, FakeClock
from .helpers import (
    claim,
    completed_step,
    failed_step,
    held_step,
    join,
    known,
    orphaned_step,
    picture,
    recover_all,
    submit,
)
from .stores import StoreKind

NAMES = ["cancelled", "completed", "delayed", "failed", "held", "recovered"]


@pytest.fixture
def lived_in(store: Store, clock: FakeClock) -> None:
    """One step of every sort, and a pod that is gone."""
    completed_step(store, "completed")
    failed_step(store, "failed")
    orphaned_step(store, "recovered")
    recover_all(store)
    submit(store, "cancelled")
    store.cancel("cancelled")
    clock.advance(1)
    submit(store, "held", priority=1)
    claim(store, incarnation="two")
    submit(store, "delayed", delay=5 * SECOND)
    join(store, "gone")
    store.turn(Turn("gone", "one", Leave("gone", "one")))


def test_an_empty_log_makes_empty_tables(store: Store) -> None:
    assert store.rebuild() == RebuildReport(0, 0, 0, (), ())


@pytest.mark.usefixtures("lived_in")
@pytest.mark.parametrize("check", [True, False])
def test_rebuilding_changes_nothing(store: Store, check: bool) -> None:
    before, rows = picture(store), [known(store, name) for name in NAMES]

    report = store.rebuild(check=check)

    assert report == RebuildReport(6, 2, len(list(store.step_events())), (), ())
    assert picture(store) == before
    assert [known(store, name) for name in NAMES] == rows


@pytest.mark.usefixtures("lived_in")
def test_work_goes_on_after_a_rebuild(store: Store, clock: FakeClock) -> None:
    store.rebuild()
    assert claim(store, 9, "another", incarnation="two") == ["recovered"]
    clock.advance(5)
    assert claim(store, 9, "a third", incarnation="two") == ["delayed"]


@pytest.mark.usefixtures("lived_in")
def test_what_the_log_does_not_say_is_found_and_mended(
    kind: StoreKind, store: Store, tmp_path: Path
) -> None:
    if kind.spoil is None:
        pytest.skip("this store has no way to spoil it")
    before = picture(store)
    kind.spoil(tmp_path, store)

    found = store.rebuild(check=True)
    assert not found.equal
    assert set(found.differing_steps) >= {"failed", "held"}
    assert store.rebuild(check=True) == found

    assert store.rebuild() == found
    assert store.rebuild(check=True).equal
    assert picture(store) == before


def test_progress_is_told(store: Store) -> None:
    held_step(store)
    told: list[int] = []

    store.rebuild(progress=told.append)

    assert told[-1] == 2
