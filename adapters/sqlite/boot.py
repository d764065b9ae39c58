"""Identifies the current boot of the machine: data written to a file before the current boot may be
incomplete, as a power cut loses what was not synced."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Final

_LINUX: Final = Path("/proc/sys/kernel/random/boot_id")
_MACOS: Final = b"kern.bootsessionuuid"


def boot_id() -> str | None:
    """An identifier of this boot, without blanks; ``None`` if the system provides none."""
    try:
        identifier = _sysctl(_MACOS) if sys.platform == "darwin" else _LINUX.read_text()
    except (OSError, ValueError, AttributeError):
        return None
    return "-".join(identifier.split()) or None


def _sysctl(name: bytes) -> str:
    size = ctypes.c_size_t(128)
    value = ctypes.create_string_buffer(size.value)
    if ctypes.CDLL(None).sysctlbyname(name, value, ctypes.byref(size), None, ctypes.c_size_t(0)):
        return ""
    return value.value.decode()
