"""What a power cut may leave of a SQLite file in WAL mode.

With ``synchronous=NORMAL`` a commit is written to the WAL (``-wal``) but not synced, so any part of
the WAL's end may be missing or garbage. A checkpoint syncs the frames before it copies them into
the file, so those survive. Their number is in the index (``-shm``), which itself need not survive.
File formats: https://www.sqlite.org/walformat.html.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

_WAL_HEADER: Final = 32
_FRAME_HEADER: Final = 24
_PAGE_SIZE_AT: Final = 8  # in the WAL's header, big-endian
_ATTEMPTED_AT: Final = 128  # nBackfillAttempted in the index's header, native byte order


@dataclass(frozen=True)
class DiskImage:
    """The bytes of the three files, read while no process writes to them."""

    file: bytes
    wal: bytes
    index: bytes

    @classmethod
    def read(cls, path: Path) -> DiskImage:
        """Read the files of the store at ``path``."""
        return cls(*(_read(path, suffix) for suffix in ("", "-wal", "-shm")))

    @property
    def synced(self) -> int:
        """How many bytes of the WAL are certainly on disk."""
        if len(self.wal) < _WAL_HEADER or len(self.index) < _ATTEMPTED_AT + 4:
            return 0
        (page_size,) = struct.unpack_from(">I", self.wal, _PAGE_SIZE_AT)
        (frames,) = struct.unpack_from("=I", self.index, _ATTEMPTED_AT)
        return int(min(_WAL_HEADER + frames * (_FRAME_HEADER + page_size), len(self.wal)))

    def write_after_power_cut(self, folder: Path, chance: Random) -> Path:
        """Write to a new folder what a power cut may leave; returns the path of the main file.

        The WAL is whole, or from some unsynced byte on cut off, zeros or garbage; the index is as
        it was, garbage, or missing."""
        folder.mkdir()
        path = folder / "fleet.db"
        path.write_bytes(self.file)
        at = chance.randint(self.synced, len(self.wal))
        lost = len(self.wal) - at
        end = chance.choice([self.wal[at:], b"", b"\0" * lost, chance.randbytes(lost)])
        if self.wal:
            Path(f"{path}-wal").write_bytes(self.wal[:at] + end)
        index = chance.choice([self.index, chance.randbytes(len(self.index)), None])
        if index is not None:
            Path(f"{path}-shm").write_bytes(index)
        return path


def _read(path: Path, suffix: str) -> bytes:
    file = Path(f"{path}{suffix}")
    return file.read_bytes() if file.exists() else b""
