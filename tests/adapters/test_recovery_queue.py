"""The leader's local queue of orphans."""

from __future__ import annotations

import pytest

from fleet_q.adapters import recovery_queue
from fleet_q.adapters.recovery_queue import SqliteRecoveryQueue
from fleet_q.core.ports import Orphan


def orphans(count: int) -> list[Orphan]:
    return [Orphan(f"{n:05}", "token", "pod", "one", 0, 3, 2) for n in range(count)]


@pytest.fixture
def queue() -> SqliteRecoveryQueue:
    queue = SqliteRecoveryQueue()
    queue.create()
    return queue


def test_recovery_queue_needs_no_temporary_folder(
    queue: SqliteRecoveryQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SQLITE_TMPDIR", "TMPDIR"):
        monkeypatch.setenv(name, "/nowhere")
    queue.add(orphans(20_000))
    assert len(queue.take(30_000)) == 20_000


def test_orphans_beyond_the_limit_are_left_to_the_next_cycle(
    queue: SqliteRecoveryQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery_queue, "MAX_ROWS", 10)
    queue.create()
    queue.add(orphans(8))
    queue.add(orphans(20)[8:])
    assert [orphan.step_id for orphan in queue.take(30)] == [f"{n:05}" for n in range(10)]
    queue.create()
    queue.add(orphans(1))
    assert len(queue.take(30)) == 1
