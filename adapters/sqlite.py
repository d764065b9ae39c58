"""A store in one SQLite file, for any number of processes on one machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fleet_q.adapters.clock import wall_clock
from fleet_q.adapters.sqlite_database import SqliteDatabase
from fleet_q.adapters.sqlite_open import (
    BUSY_TIMEOUT,
    OLDEST_SQLITE,
    Durability,
    Opening,
)
from fleet_q.adapters.start_files import StartFiles
from fleet_q.core.ports import Turn
from fleet_q.core.step import Complete, Step, Submit
from fleet_q.core.store import EventStore

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

    # What happens to most steps is said to SQLite for all of them at once: a statement that works
    # on many rows leaves Python to the functions of the steps meanwhile.

    def _submit(self, tx: Any, new: Sequence[Submit], pod_id: str | None) -> list[bool]:
        if not new or not all(submit.unique for submit in new):
            return super()._submit(tx, new, pod_id)
        tx.submit(new, pod_id)
        return [True] * len(new)

    def _claim(self, tx: Any, turn: Turn) -> list[Step]:
        claimed: list[Step] = tx.claim(turn)
        return claimed

    def _acknowledge(self, tx: Any, turn: Turn) -> list[str]:
        successes = [outcome for outcome in turn.outcomes if isinstance(outcome, Complete)]
        if len({success.step_id for success in successes}) < len(turn.outcomes):
            return super()._acknowledge(tx, turn)
        late: list[str] = tx.complete(successes, turn.pod_id)
        return late
