"""A store in one SQLite file, for any number of processes on one machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fleet_q.adapters.clock import wall_clock
from fleet_q.adapters.sqlite.database import SqliteDatabase
from fleet_q.adapters.sqlite.open import (
    BUSY_TIMEOUT,
    OLDEST_SQLITE,
    Durability,
    Opening,
)
from fleet_q.adapters.sqlite.start_files import StartFiles
from fleet_q.core.event_store import EventStore

__all__ = [
    "BUSY_TIMEOUT",
    "OLDEST_SQLITE",
    "Durability",
    "SqliteStore",
]


class SqliteStore(EventStore):
    """A store in the SQLite file at ``path``, which is made unless ``create`` is false; then
    ``was_created``. A relative path is one of the folder that is current now.

    Any thread may use it; calls take turns. ``clock`` gives the store's time in microseconds
    since the Unix epoch; all processes on a file share the machine's clock by default. A process
    that is forked may go on using it, by a connection of its own.

    The file is in WAL mode: a commit is whole or not there. What this store commits survives the
    kill of any process; with ``durability="power"`` it waits until it is on the disk, and so
    survives a power cut, which otherwise may take the last commits with it.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        create: bool = True,
        clock: Callable[[], int] = wall_clock,
        busy_timeout: float = BUSY_TIMEOUT,
        durability: Durability = "process",
    ) -> None:
        opening = Opening(Path(path).absolute(), create, busy_timeout, durability)
        database = SqliteDatabase(opening, clock)
        super().__init__(database)
        self.was_created = database.was_created
        self.starts = StartFiles(opening.path)
