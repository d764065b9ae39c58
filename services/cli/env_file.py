"""Sets the variables of the file ``.env`` in the environment of a command."""

from __future__ import annotations

import os
from pathlib import Path

from fleet_q.services.app.env_file import EMPTY, EnvFile, read
from fleet_q.services.worker import logs

_file: EnvFile = EMPTY


def load(path: Path) -> None:
    """Set the variables of the file that are not set in the environment, if the file exists.

    Raises what :func:`read` raises. A line that is not NAME=value is skipped with a line on stderr.
    """
    global _file
    _file = read(path)
    for where in _file.skipped:
        logs.tell(f"fleet-q: {where} is not NAME=value; skipped")
    os.environ.update(_file.variables)


def located(message: str) -> str:
    """Return ``message`` with the file and line of the variables that it names."""
    return _file.located(message)
