"""Every statement, one file each: ``load("sqlite", "claimable")`` is ``sqlite/claimable.sql``. The
tables are made and changed by the files in ``migrations``, in the order of their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple


class Migration(NamedTuple):
    """What leads a store from the schema version before this one to this one."""

    version: int
    name: str
    text: str


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
    return _texts(files(__name__).joinpath(dialect))


@cache
def migrations(dialect: str) -> tuple[Migration, ...]:
    """The migrations of a dialect: the first makes the tables of version 1, the last leads to the
    version that this FLEET-Q works on. ``003_queues.sql`` leads to version 3."""
    found = _texts(files(__name__).joinpath(dialect, "migrations"))
    return tuple(
        Migration(int(name.partition("_")[0]), name, found[name]) for name in sorted(found)
    )


def schema_version(dialect: str) -> int:
    """The schema version that this FLEET-Q works on."""
    return migrations(dialect)[-1].version


def _texts(folder: Traversable) -> dict[str, str]:
    return {
        file.name.removesuffix(".sql"): file.read_text("utf-8").strip()
        for file in folder.iterdir()
        if file.name.endswith(".sql")
    }
