"""The log of statements, and what Snowflake would have wanted a warehouse for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Final

CACHE_LIFE: Final = 24 * 3_600.0
"""Seconds for which a result is kept, counted from its last use."""


@dataclass
class Entry:
    """One statement. Times are seconds since 1970, durations seconds."""

    text: str
    kind: str
    """``select``, ``insert``, ``update``, ``delete``, ``merge``, ``truncate``, ``begin``,
    ``commit``, ``rollback``, ``ddl`` or ``other``."""
    session: int
    query_tag: str
    user: str
    began: float
    values: int = 0
    """How many values were bound."""
    ended: float = 0.0
    transaction: int | None = None
    """The transaction that it belongs to; ``None``: it is one of its own."""
    reads: list[str] = field(default_factory=list)
    target: str | None = None
    rows: int = 0
    """Rows that it returned or changed."""
    waited: float = 0.0
    """For the lock of its table."""
    locked: float | None = None
    """When it had the lock, if it was the one that took it."""
    held: float = 0.0
    """How long the locks were held that were given back at its end."""
    cached: bool = False
    """Whether Snowflake's result cache would have answered it."""
    warehouse: bool = False
    """Whether a warehouse has to run for it."""
    error: str | None = None
    """The number of the error that it ended with."""
    fault: str | None = None
    """The fault that struck it."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class _Kept:
    commit: int
    used: float


class ResultCache:
    """Which results Snowflake would still have: texts and values that were asked for, and whether
    a table has changed since."""

    def __init__(self) -> None:
        self._kept: dict[object, _Kept] = {}

    def has(self, key: object, changed: Iterable[int], commit: int, now: float) -> bool:
        """Whether a result is there; if not, it is from now on.

        ``changed`` are the numbers of the commits that last changed its tables, ``commit`` that
        of the latest commit of all.
        """
        kept = self._kept.get(key)
        found = (
            kept is not None
            and now - kept.used <= CACHE_LIFE
            and all(each <= kept.commit for each in changed)
        )
        self._kept[key] = _Kept(kept.commit if kept is not None and found else commit, now)
        return found
