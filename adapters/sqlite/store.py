"""A store in one SQLite file, for any number of processes on one machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fleet_q.adapters.clock import wall_clock
from fleet_q.adapters.ids import INTAKE
from fleet_q.adapters.sqlite.database import SqliteDatabase
from fleet_q.adapters.sqlite.open import BUSY_TIMEOUT, Durability, Opening
from fleet_q.adapters.sqlite.start_files import StartFiles
from fleet_q.core.event_store import EventStore
from fleet_q.core.inbox import Intake

__all__ = ["BUSY_TIMEOUT", "Durability", "SqliteStore"]


class SqliteStore(EventStore):
    """A store in the SQLite file at ``path``.

    A missing file is created unless ``create`` is false; ``was_created`` says whether it was. A
    relative path is resolved against the current folder once, now. Any thread may use the store,
    one call at a time. A forked child may use it too, with a connection of its own. ``clock`` gives
    the store's time in microseconds since the Unix epoch, by default the machine's.
    ``busy_timeout`` is in seconds, ``intake`` for rows of the inbox.

    The file is in WAL mode. A commit is atomic and survives the kill of any process. With
    ``durability="power"`` each commit waits for the disk and also survives a power cut, which
    otherwise may lose the last commits.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        create: bool = True,
        clock: Callable[[], int] = wall_clock,
        busy_timeout: float = BUSY_TIMEOUT,
        durability: Durability = "process",
        intake: Intake = INTAKE,
    ) -> None:
        opening = Opening(Path(path).absolute(), create, busy_timeout, durability)
        database = SqliteDatabase(opening, clock)
        super().__init__(database, intake)
        self.was_created = database.was_created
        self.starts = StartFiles(opening.path)
