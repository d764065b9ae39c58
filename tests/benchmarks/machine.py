"""Describes the machine of a run."""

from __future__ import annotations

import os
import platform
import sqlite3
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from tests.benchmarks.systems import PEERS


def describe(runs: int) -> dict[str, Any]:
    """The machine and the versions, most important first; ``load`` is the number of
    processes that wait for a core, 0 on an idle machine."""
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
