"""Opens the store that a URL names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urlsplit

from fleet_q.adapters.ids import INTAKE
from fleet_q.adapters.memory import MemoryStore
from fleet_q.adapters.snowflake.connection import named
from fleet_q.adapters.sqlite.store import Durability, SqliteStore
from fleet_q.core.errors import InvalidInput
from fleet_q.core.inbox import Intake
from fleet_q.core.ports import Store

_FORMS: Final = "sqlite:///path, snowflake:// or memory://"


def open_store(
    url: str,
    *,
    create: bool = True,
    client: str = "client",
    for_pod: bool = False,
    table_prefix: str = "",
    durability: Durability = "process",
    env: Mapping[str, str] | None = None,
    intake: Intake = INTAKE,
) -> Store:
    """Open the store that ``url`` names: ``sqlite:///relative/path``, ``sqlite:////absolute/path``,
    ``snowflake://`` (see :mod:`fleet_q.adapters.snowflake.connection`) or ``memory://``.

    With ``create`` false, a SQLite file that does not exist is an error; tables in Snowflake are
    never created here. ``client`` appears in Snowflake's query history, as ``QUERY_TAG``. A
    store in Snowflake ``for_pod`` tries each call once, and its role must have the privileges of a
    pod; a store for others repeats calls that are not answered. ``durability`` applies to SQLite.
    ``intake`` says what rows of the inbox become. ``env`` has the variables ``SNOWFLAKE_*``, by
    default those of the process.

    Raises :class:`InvalidInput` for a URL of another form, and the store's own errors.
    """
    parts = _split(url)
    if parts.scheme == "memory" and not parts.netloc and not parts.path:
        return MemoryStore(intake=intake)
    if parts.scheme == "sqlite":
        return SqliteStore(sqlite_path(url), create=create, durability=durability, intake=intake)
    if parts.scheme == "snowflake":
        from fleet_q.adapters.snowflake.opening import (
            open_snowflake,  # the connector may be missing
        )

        snowflake = open_snowflake(
            url,
            tag=f"fleet-q {client}",
            table_prefix=table_prefix,
            for_pod=for_pod,
            env=env,
            intake=intake,
        )
        snowflake.check_schema()
        if for_pod:
            snowflake.check_privileges()
        return snowflake
    raise InvalidInput(f"{shown(url)!r} is not a store's URL; write {_FORMS}")


def sqlite_path(url: str) -> Path:
    """The file that a ``sqlite:`` URL names. Raises :class:`InvalidInput` if it names none."""
    parts = _split(url)
    path = unquote(parts.path.removeprefix("/"))
    if path == ":memory:":
        raise InvalidInput(f"{shown(url)!r} is a database of one connection only; write memory://")
    if parts.query or parts.fragment:
        raise InvalidInput(f"{shown(url)!r}: a file name's ? is written %3F, and # %23")
    if not url.startswith("sqlite:///") or not path or "\0" in path:
        raise InvalidInput(
            f"{shown(url)!r} names no file; write sqlite:///jobs.db for a relative path,"
            " sqlite:////var/lib/jobs.db for an absolute one"
        )
    return Path(path)


def absolute(url: str, folder: Path) -> str:
    """The URL with a relative path of a SQLite file resolved against ``folder``."""
    try:
        path = sqlite_path(url)
    except InvalidInput:
        return url  # another store's URL, or one that open_store rejects
    return url if path.is_absolute() else f"sqlite:///{quote(str(folder / path))}"


def current_folder() -> Path:
    """The current folder, or ``/`` if that was deleted."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return Path("/")


def shown(url: str) -> str:
    """The URL for messages, with all parts masked that may contain a password."""
    scheme, colon, _ = url.partition(":")
    if colon and scheme not in ("sqlite", "memory"):
        return f"{scheme}:***"
    return f"{scheme}{colon}***" if re.search("[@?#;=]", url) else url


def is_shared(url: str) -> bool:
    """Whether opening ``url`` twice opens the same store."""
    return not url.startswith("memory:")


def described(store: str | Store, env: Mapping[str, str] | None = None) -> str:
    """A store's location for people, without secrets: a file's absolute path, or account, database
    and schema in Snowflake. ``env`` is as in :func:`open_store`."""
    if not isinstance(store, str):
        return f"an open {type(store).__name__}"
    scheme = _split(store).scheme
    if scheme == "sqlite":
        return f"sqlite {sqlite_path(store).absolute()}"
    if scheme == "snowflake":
        parameters = named(store, env)
        place = [parameters.get(part, "-") for part in ("account", "database", "schema")]
        if "connection_name" in parameters:
            place = [f"connection {parameters['connection_name']}", *(p for p in place if p != "-")]
        return f"snowflake {'/'.join(place)}"
    return "memory"


def store_exists(store: str | Store) -> bool:
    """Whether the store exists: a SQLite file that is missing or empty does not."""
    if not isinstance(store, str) or _split(store).scheme != "sqlite":
        return True
    path = sqlite_path(store)
    return path.exists() and path.stat().st_size > 0


def dialect(url: str) -> str:
    """The folder of ``sql`` with the statements for ``url``. Raises :class:`InvalidInput` if there
    is none."""
    scheme = _split(url).scheme
    if scheme == "memory":
        raise InvalidInput(
            "a memory:// store exists only inside one process and cannot be inspected"
        )
    if scheme not in ("sqlite", "snowflake"):
        raise InvalidInput(f"{shown(url)!r} is not a store's URL; write {_FORMS}")
    return scheme


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # urlsplit's own message would show the URL
        raise InvalidInput(f"{shown(url)!r} is not a store's URL; write {_FORMS}") from None
