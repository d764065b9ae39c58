"""The signature of a file, which tells whether it was replaced."""

from __future__ import annotations

import os
from pathlib import Path


def signature_of(file: Path) -> tuple[int, ...]:
    """Return what changes when a file is written, or when it or a link on the way to it is
    replaced, as Kubernetes does with a mounted secret; empty if there is no such file."""
    try:
        stat = os.stat(file)
    except OSError:
        return ()
    return stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size
