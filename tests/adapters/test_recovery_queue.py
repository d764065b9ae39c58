"""The leader's own table of orphans."""

from __future__ import annotations

import pytest

from fleet_q.adapters import recovery_queue
from fleet_q.adapters.recovery_queue import SqliteRecoveryQueue
from fleet_q.core.ports import Orphan


def orphans(count: int) -> list[Orphan]:
    return [Orphan(f"{n:05}", "token", "pod", "one", 0, 3, 2) for n in range(count)]


@pytest.fixture
def table() -> SqliteRecoveryQueue:
    table = SqliteRecoveryQueue()
    table.create()
    return table


def test_it_needs_no_temporary_folder(
    table: SqliteRecoveryQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many orphans with long ids there are."""
    for name in ("SQLITE_TMPDIR", "TMPDIR"):
        monkeypatch.setenv(name, "/nowhere")
    table.add(orphans(20_000))
    assert len(table.take(30_000)) == 20_000


def test_what_there_is_no_room_for_is_left_to_the_next_cycle(
    table: SqliteRecoveryQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery_queue, "MAX_ROWS", 10)
    table.create()
    table.add(orphans(8))
    table.add(orphans(20)[8:])
    assert [orphan.step_id for orphan in table.take(30)] == [f"{n:05}" for n in range(10)]
    table.create()
    table.add(orphans(1))
    assert len(table.take(30)) == 1
