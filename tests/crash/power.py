"""What a power cut may leave of a SQLite file in WAL mode.

With ``synchronous=NORMAL`` a commit is written to the log (``-wal``) and not synced, so of its end
any part may be missing or be rubbish. What a checkpoint has begun to copy into the file was synced
before, and is there. How far that is stands in the index (``-shm``), which itself need not survive:
https://www.sqlite.org/walformat.html.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

_WAL_HEADER: Final = 32
_FRAME_HEADER: Final = 24
_PAGE_SIZE_AT: Final = 8  # in the log's header, big-endian
_ATTEMPTED_AT: Final = 128  # nBackfillAttempted, in the index's, in the machine's own order


@dataclass(frozen=True)
class Picture:
    """The files at one instant, no process being at work on them."""

    file: bytes
    log: bytes
    index: bytes

    @classmethod
    def take(cls, path: Path) -> Picture:
        """Read them."""
        return cls(*(_read(path, suffix) for suffix in ("", "-wal", "-shm")))

    @property
    def synced(self) -> int:
        """Bytes of the log that are sure to be on disk."""
        if len(self.log) < _WAL_HEADER or len(self.index) < _ATTEMPTED_AT + 4:
            return 0
        (page_size,) = struct.unpack_from(">I", self.log, _PAGE_SIZE_AT)
        (frames,) = struct.unpack_from("=I", self.index, _ATTEMPTED_AT)
        return int(min(_WAL_HEADER + frames * (_FRAME_HEADER + page_size), len(self.log)))

    def leave(self, folder: Path, chance: Random) -> Path:
        """What the cut leaves, in a folder of its own: the log whole, or cut off or rubbish from
        some byte on; the index as it was, as rubbish, or not at all."""
        folder.mkdir()
        path = folder / "fleet.db"
        path.write_bytes(self.file)
        at = chance.randint(self.synced, len(self.log))
        lost = len(self.log) - at
        end = chance.choice([self.log[at:], b"", b"\0" * lost, chance.randbytes(lost)])
        if self.log:
            Path(f"{path}-wal").write_bytes(self.log[:at] + end)
        index = chance.choice([self.index, chance.randbytes(len(self.index)), None])
        if index is not None:
            Path(f"{path}-shm").write_bytes(index)
        return path


def _read(path: Path, suffix: str) -> bytes:
    found = Path(f"{path}{suffix}")
    return found.read_bytes() if found.exists() else b""
