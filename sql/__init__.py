"""Every statement, one file each: ``load("sqlite", "claimable")`` is ``sqlite/claimable.sql``."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def load(dialect: str, name: str) -> str:
    """The text of one statement; ``FileNotFoundError`` if there is no such file."""
    return files(__name__).joinpath(dialect, f"{name}.sql").read_text("utf-8").strip()
