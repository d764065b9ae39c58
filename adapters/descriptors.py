"""The files that this process has open."""

from __future__ import annotations

import os
from collections.abc import Iterator


def open_files() -> Iterator[tuple[int, tuple[int, int]]]:
    """Each descriptor of this process, and the device and inode of its file. Raises ``OSError`` if
    they cannot be listed."""
    for name in os.listdir("/dev/fd"):
        descriptor = int(name)
        try:
            status = os.stat(descriptor)
        except OSError:  # the descriptor of the listing itself
            continue
        yield descriptor, (status.st_dev, status.st_ino)
