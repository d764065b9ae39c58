"""Plans of statements on disk, shared by all stand-ins that run from this folder.

Translating a statement takes some thirty milliseconds, and each worker of ``pytest -n`` has a
stand-in of its own, as has each test that kills one.
"""

from __future__ import annotations

import importlib.metadata
import os
import pickle
import sys
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

_HERE: Final = Path(__file__).parent
_CACHE: Final = _HERE.parents[1] / ".pytest_cache" / "d" / "standin"
"""Emptied by ``pytest --cache-clear``."""


def load(text: str) -> Any:
    """The plan that was stored for a text, or ``None``."""
    with suppress(OSError):
        return pickle.loads(_file(text).read_bytes())
    return None


def store(text: str, plan: Any) -> None:
    """Store the plan of a text, if the folder can be written."""
    file = _file(text)
    own = file.with_suffix(f".{os.getpid()}")
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        own.write_bytes(pickle.dumps(plan))
        own.replace(file)  # others see the whole file or none


def _file(text: str) -> Path:
    return _CACHE / _versions() / sha256(text.encode()).hexdigest()


@cache
def _versions() -> str:
    """A name for all that plans depend on."""
    versions = [importlib.metadata.version(name) for name in ("fakesnow", "sqlglot", "duckdb")]
    sources = [file.read_bytes() for file in sorted(_HERE.glob("*.py"))]
    parts = [repr((sys.version, versions)).encode(), *sources]
    return sha256(b"\0".join(parts)).hexdigest()[:16]
