"""The archive file of pruned events."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec import Raw

from fleet_q.adapters.archive import Archive
from fleet_q.core import events as ev
from fleet_q.core.errors import InvalidInput
from fleet_q.core.events import Event

PAYLOAD = Raw(b'{"n":\n 12345678901234567890}')
SUBMITTED = Event(
    "é", 1, 5, None, ev.Submitted(PAYLOAD, 0, 3, 7, task_type="t", labels=Raw(b'{"day":"1"}'))
)
COMPLETED = Event("é", 3, 9, "pod", ev.Completed("token", Raw(b'"\\n"')))
JOINED = Event("pod", 1, 4, "pod", ev.Joined("one", Raw(b'{"host":"h"}')))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "archive.jsonl"


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_archive_has_a_line_per_event(path: Path) -> None:
    with Archive(path) as archive:
        archive([SUBMITTED, COMPLETED])
        archive([JOINED])
    assert lines(path) == [
        {"step_id": "é", "version": 1, "type": "submitted", "event_ts": 5, "pod_id": None,
         "payload": {"n": 12345678901234567890}, "priority": 0, "max_retries": 3,
         "available_ts": 7, "queue": "default", "task_type": "t", "key": None, "unique_key": None,
         "unique_until_ts": None, "labels": {"day": "1"}, "timeout": None,
         "parents": None, "workflow_id": None, "spawned_by": None, "start_by_ts": None},
        {"step_id": "é", "version": 3, "type": "completed", "event_ts": 9, "pod_id": "pod",
         "claim_token": "token", "result": "\n"},
        {"pod_id": "pod", "version": 1, "type": "joined", "event_ts": 4, "by_pod_id": "pod",
         "incarnation": "one", "description": {"host": "h"}},
    ]  # fmt: skip


def test_archive_is_on_disk_when_the_call_returns(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[bytes] = []
    monkeypatch.setattr("os.fsync", lambda _: synced.append(path.read_bytes()))
    with Archive(path) as archive:
        archive([JOINED])
        assert synced == [b"", path.read_bytes()], "the new file's name, then the line"


def test_archive_is_appended_to(path: Path) -> None:
    for _ in range(2):
        with Archive(path) as archive:
            archive([JOINED])
    assert len(lines(path)) == 2


@pytest.mark.parametrize("cut", [1, 5, 70])
@pytest.mark.parametrize("before", [0, 1, 2_000])
def test_partial_last_line_of_an_archive_is_removed(path: Path, before: int, cut: int) -> None:
    with Archive(path) as archive:
        archive([SUBMITTED] * before)
        whole = path.read_bytes()
        archive([COMPLETED])
    path.write_bytes(path.read_bytes()[: len(whole) + cut])
    with Archive(path) as archive:
        assert path.read_bytes() == whole
        archive([JOINED])
    assert len(lines(path)) == before + 1


@pytest.mark.parametrize("content", [b"my diary", b"my diary\n", b"[]\n", b"\0" * 100])
def test_file_that_is_not_an_archive_is_not_changed(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match="is not an archive"):
        Archive(path)
    assert path.read_bytes() == content


def test_two_processes_cannot_write_the_same_archive(path: Path) -> None:
    with Archive(path), pytest.raises(InvalidInput, match="another prune"):
        Archive(path)
    Archive(path).__exit__(None, None, None)
