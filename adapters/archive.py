"""The archive of pruned events: a file with one JSON object per line."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

import msgspec
from msgspec.structs import asdict

from fleet_q.adapters import fork
from fleet_q.core.errors import InvalidInput
from fleet_q.core.events import Event, PodEvent, StepEvent
from fleet_q.core.lifecycle import POD

_LINE_STARTS: Final = (b'{"step_id":', b'{"pod_id":')
_BATCH: Final = 1_000
"""Lines per write."""

_PART: Final = 65_536
"""Bytes that are searched at a time for the end of the last line."""

_POD_FACTS: Final = POD.triggers()


class Archive:
    """Appends events to the file at ``path``; each call returns after ``fsync``.

    The keys of a line are the columns of ``step_events`` or ``pod_events``. An incomplete last
    line, left by a killed process, is cut off when the archive is opened: its event was not deleted
    from the store and is archived again. Raises :class:`InvalidInput` for a file that is not an
    archive, or that another process is writing.
    """

    def __init__(self, path: Path) -> None:
        path = path.absolute()
        is_new = not path.exists()
        self._file = path.open("ab+", buffering=0)  # a forked child would flush a copy of a buffer
        fork.call_in_child(self._close)  # or a forked child would keep the lock
        try:
            self._lock(path)
            self._cut_incomplete_line(path)
        except BaseException:
            self._file.close()
            raise
        if is_new:
            _sync_folder(path.parent)

    def __call__(self, events: Iterable[StepEvent] | Iterable[PodEvent]) -> None:
        lines = map(_line, events)
        while batch := b"".join(islice(lines, _BATCH)):
            rest = memoryview(batch)
            while rest:
                rest = rest[self._file.write(rest) :]
        os.fsync(self._file.fileno())

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def _close(self) -> None:
        self._file.close()

    def _lock(self, path: Path) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvalidInput(f"{path} is being written by another prune") from None

    def _cut_incomplete_line(self, path: Path) -> None:
        self._file.seek(0)
        head = self._file.read(max(map(len, _LINE_STARTS)))
        if head and not any(
            head.startswith(start) or start.startswith(head) for start in _LINE_STARTS
        ):
            raise InvalidInput(
                f"{path} is not an archive of events; name another file, or one that does not exist"
            )
        end = self._file.seek(0, os.SEEK_END)
        self._file.truncate(_end_of_lines(self._file, end))


def _end_of_lines(file: IO[bytes], end: int) -> int:
    """The offset after the last complete line of a file of ``end`` bytes."""
    while end > 0:
        begin = max(0, end - _PART)
        file.seek(begin)
        newline = file.read(end - begin).rfind(b"\n")
        if newline >= 0:
            return begin + newline + 1
        end = begin
    return 0


def _line(event: StepEvent | PodEvent) -> bytes:
    """The event as one line. A payload may contain line breaks only as whitespace between JSON
    tokens, so they can be replaced by spaces."""
    return msgspec.json.encode(_columns(event)).replace(b"\n", b" ") + b"\n"


def _columns(event: Event[Any]) -> dict[str, Any]:
    is_of_pod = event.fact.type in _POD_FACTS
    return {
        "pod_id" if is_of_pod else "step_id": event.stream,
        "version": event.version,
        "type": event.fact.type,
        "event_ts": event.at,
        "by_pod_id" if is_of_pod else "pod_id": event.pod_id,
        **asdict(event.fact),
    }


def _sync_folder(path: Path) -> None:
    """Sync the folder of a new file, without which its name may be lost in a power cut."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
