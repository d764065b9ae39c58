"""The SQL statements, each in its own file: ``load("sqlite", "claimable")`` is the text of
``sqlite/claimable.sql``. The files in ``parts`` are what several statements have in common, those
in ``procedures`` create stored procedures, and those in ``migrations`` create and change the
tables, in the order of their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Literal, NamedTuple


class Migration(NamedTuple):
    """The SQL that migrates a store from the previous schema version to ``version``."""

    version: int
    name: str
    text: str


@cache
def load(dialect: str, name: str) -> str:
    """The text of one statement. Raises ``FileNotFoundError`` if there is no such file."""
    try:
        return load_all(dialect)[name]
    except KeyError:
        raise FileNotFoundError(f"there is no statement {dialect}/{name}.sql") from None


@cache
def load_all(dialect: str) -> Mapping[str, str]:
    """Every statement of a dialect, by name. All files are read at once, so that :func:`load` does
    not fail later when the process has no descriptors left or the files were removed."""
    return _texts(files(__name__).joinpath(dialect))


@cache
def load_folder(dialect: str, folder: Literal["parts", "procedures"]) -> Mapping[str, str]:
    """The texts in a folder of a dialect, by name; empty if the dialect has no such folder."""
    path = files(__name__).joinpath(dialect, folder)
    return _texts(path) if path.is_dir() else {}


@cache
def migrations(dialect: str) -> tuple[Migration, ...]:
    """The migrations of a dialect in order: the first creates the tables of version 1, the last
    migrates to the version of this FLEET-Q. ``003_queues.sql`` migrates to version 3."""
    texts = _texts(files(__name__).joinpath(dialect, "migrations"))
    return tuple(
        Migration(int(name.partition("_")[0]), name, texts[name]) for name in sorted(texts)
    )


def schema_version(dialect: str) -> int:
    """The schema version of this FLEET-Q."""
    return migrations(dialect)[-1].version


def _texts(folder: Traversable) -> dict[str, str]:
    return {
        file.name.removesuffix(".sql"): file.read_text("utf-8").strip()
        for file in folder.iterdir()
        if file.name.endswith(".sql")
    }
