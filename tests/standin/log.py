"""The log of statements, and whether Snowflake would need a warehouse for each."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Final

CACHE_LIFE: Final = 24 * 3_600.0
"""Seconds for which Snowflake keeps a result after its last use."""

WRITES: Final = frozenset({"insert", "update", "delete", "merge", "truncate"})
"""Kinds of statements that change a table."""

_numbers: Final = itertools.count(1)


@dataclass
class Entry:
    """One statement. Times are seconds since 1970, durations seconds."""

    text: str
    kind: str
    """``select``, ``insert``, ``update``, ``delete``, ``merge``, ``truncate``, ``begin``,
    ``commit``, ``rollback``, ``call``, ``ddl`` or ``other``."""
    session: int
    query_tag: str
    user: str
    began: float
    values: int = 0
    """How many values were bound."""
    ended: float = 0.0
    transaction: int | None = None
    """The id of its transaction; ``None`` in autocommit mode."""
    reads: list[str] = field(default_factory=list)
    target: str | None = None
    rows: int = 0
    """Rows that it returned or changed."""
    waited: float = 0.0
    """How long it waited for the lock of its table."""
    locked: float | None = None
    """When it got the lock, if it took one."""
    held: float = 0.0
    """How long the locks were held that it released."""
    cached: bool = False
    """Whether Snowflake's result cache would have answered it."""
    warehouse: bool = False
    """Whether a warehouse has to run for it."""
    error: str | None = None
    """The number of the error that it ended with."""
    fault: str | None = None
    """The kind of the fault that it met."""
    number: int = field(default_factory=lambda: next(_numbers))
    call: int | None = None
    """The number of the CALL that it is part of; ``None``: a client sent it."""
    query_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def writes(self) -> bool:
        """Whether it changes a table."""
        return self.kind in WRITES

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class _Kept:
    commit: int
    used: float


class ResultCache:
    """Models Snowflake's result cache: a result is kept while its tables do not change."""

    def __init__(self) -> None:
        self._kept: dict[object, _Kept] = {}

    def has(self, key: object, changed: Iterable[int], commit: int, now: float) -> bool:
        """Whether the result is in the cache; it is from then on.

        ``changed`` are the numbers of the commits that last changed its tables, ``commit`` that
        of the latest commit of all.
        """
        kept = self._kept.get(key)
        is_cached = (
            kept is not None
            and now - kept.used <= CACHE_LIFE
            and all(number <= kept.commit for number in changed)
        )
        self._kept[key] = _Kept(kept.commit if kept is not None and is_cached else commit, now)
        return is_cached
