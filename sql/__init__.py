"""Every statement, one file each: ``load("sqlite", "claimable")`` is ``sqlite/claimable.sql``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files


@cache
def load(dialect: str, name: str) -> str:
    """The text of one statement; ``FileNotFoundError`` if there is no such file."""
    try:
        return load_all(dialect)[name]
    except KeyError:
        raise FileNotFoundError(f"there is no statement {dialect}/{name}.sql") from None


@cache
def load_all(dialect: str) -> Mapping[str, str]:
    """Every statement of a dialect by its name. All are read at once, so that :func:`load` never
    has to later, when descriptors or the disk may be gone."""
    return {
        file.name.removesuffix(".sql"): file.read_text("utf-8").strip()
        for file in files(__name__).joinpath(dialect).iterdir()
        if file.name.endswith(".sql")
    }
