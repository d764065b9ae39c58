"""From a URL to a store."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urlsplit

from fleet_q.adapters.memory import MemoryStore
from fleet_q.adapters.snowflake.connection import named
from fleet_q.adapters.sqlite.store import Durability, SqliteStore
from fleet_q.core.errors import InvalidInput
from fleet_q.core.ports import Store

_FORMS: Final = "sqlite:///path, snowflake:// or memory://"


def open_store(
    url: str,
    *,
    create: bool = True,
    client: str = "client",
    table_prefix: str = "",
    durability: Durability = "process",
) -> Store:
    """The store that ``url`` names: ``sqlite:///relative/path``, ``sqlite:////absolute/path``,
    ``snowflake://`` (see :mod:`fleet_q.adapters.snowflake.connection`) or ``memory://``.

    With ``create`` false, a file that does not exist yet is an error; the tables in Snowflake are
    never made here. ``client`` is who Snowflake's query history says it was, ``durability`` a
    SQLite file's.

    Raises :class:`InvalidInput` for a URL of no such form, and what the store raises.
    """
    parts = _split(url)
    if parts.scheme == "memory" and not parts.netloc and not parts.path:
        return MemoryStore()
    if parts.scheme == "sqlite":
        return SqliteStore(sqlite_path(url), create=create, durability=durability)
    if parts.scheme == "snowflake":
        from fleet_q.adapters.snowflake.opening import (
            open_snowflake,  # the connector may be missing
        )

        snowflake = open_snowflake(url, tag=f"fleet-q {client}", table_prefix=table_prefix)
        snowflake.check_schema()
        return snowflake
    raise InvalidInput(f"{shown(url)!r} is no store; write {_FORMS}")


def sqlite_path(url: str) -> Path:
    """The file that a ``sqlite:`` URL names; :class:`InvalidInput` if it names none."""
    parts = _split(url)
    path = unquote(parts.path.removeprefix("/"))
    if path == ":memory:":
        raise InvalidInput(f"{shown(url)!r} would be a store of one connection; write memory://")
    if parts.query or parts.fragment:
        raise InvalidInput(f"{shown(url)!r}: in a file's name write ? as %3F and # as %23")
    if not url.startswith("sqlite:///") or not path or "\0" in path:
        raise InvalidInput(
            f"{shown(url)!r} names no file; write sqlite:///jobs.db for one here,"
            " sqlite:////var/lib/jobs.db for one from the root"
        )
    return Path(path)


def absolute(url: str, folder: Path) -> str:
    """The URL with a relative path made one in ``folder``."""
    try:
        path = sqlite_path(url)
    except InvalidInput:
        return url  # of another store; or opening it will say what is wrong
    return url if path.is_absolute() else f"sqlite:///{quote(str(folder / path))}"


def current_folder() -> Path:
    """The current folder; the root, from which no relative path leads anywhere else, if that was
    deleted."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return Path("/")


def shown(url: str) -> str:
    """As much of a URL as may be told: there may be a password in it."""
    scheme, colon, _ = url.partition(":")
    if colon and scheme not in ("sqlite", "memory"):
        return f"{scheme}:***"
    return f"{scheme}{colon}***" if re.search("[@?#;=]", url) else url


def is_shared(url: str) -> bool:
    """Whether opening ``url`` twice opens the same store."""
    return not url.startswith("memory:")


def described(store: str | Store) -> str:
    """Where a store is, in words without secrets: a file's whole path, a schema in Snowflake."""
    if not isinstance(store, str):
        return f"an open {type(store).__name__}"
    scheme = _split(store).scheme
    if scheme == "sqlite":
        return f"sqlite {sqlite_path(store).absolute()}"
    if scheme == "snowflake":
        said = named(store)
        place = [said.get(part, "-") for part in ("account", "database", "schema")]
        if "connection_name" in said:
            place = [f"connection {said['connection_name']}", *(p for p in place if p != "-")]
        return f"snowflake {'/'.join(place)}"
    return "memory"


def store_exists(store: str | Store) -> bool:
    """Whether opening it makes no new store, as it does of a file that is missing or empty."""
    if not isinstance(store, str) or _split(store).scheme != "sqlite":
        return True
    path = sqlite_path(store)
    return path.exists() and path.stat().st_size > 0


def dialect(url: str) -> str:
    """The folder of ``sql`` that belongs to ``url``; :class:`InvalidInput` if it has none."""
    scheme = _split(url).scheme
    if scheme == "memory":
        raise InvalidInput("memory:// lives and dies with one process; there is nothing to see")
    if scheme not in ("sqlite", "snowflake"):
        raise InvalidInput(f"{shown(url)!r} is no store; write {_FORMS}")
    return scheme


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # which would quote it
        raise InvalidInput(f"{shown(url)!r} is no store; write {_FORMS}") from None
