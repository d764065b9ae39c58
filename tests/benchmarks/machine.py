"""Where a run took place."""

from __future__ import annotations

import os
import platform
import sqlite3
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from tests.benchmarks.systems import PEERS


def describe(runs: int) -> dict[str, Any]:
    """The machine and the versions, in the order in which they are worth reading; ``load`` is
    what waits for a core at the moment, 0 on a quiet machine."""
    return {
        "runs": runs,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "fleet-q": version("fleet-q"),
        **{peer.name: _version(peer.name) for peer in PEERS if peer.installed()},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "of unknown version"
