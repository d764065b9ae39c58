"""Every statement, one file each: ``load("sqlite", "claimable")`` is ``sqlite/claimable.sql``."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def load(dialect: str, name: str) -> str:
    """The text of one statement; ``FileNotFoundError`` if there is no such file."""
    return files(__name__).joinpath(dialect, f"{name}.sql").read_text("utf-8").strip()


@cache
def load_all(dialect: str) -> None:
    """Read every statement of a dialect, so that :func:`load` never has to later, when
    descriptors or the disk may be gone."""
    for file in files(__name__).joinpath(dialect).iterdir():
        if file.name.endswith(".sql"):
            load(dialect, file.name.removesuffix(".sql"))
