"""A store of one's own: everything is in memory, and a file has what each transaction wrote.

A store is a ``Database``, whose transactions read and write rows; ``StepByStep`` and ``EventStore``
make all operations of a queue out of these. This one takes both from FLEET-Q's store in memory, and
adds the file: it is written before a transaction is committed, and read when it is opened again.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fleet_q.adapters import fork
from fleet_q.adapters.clock import wall_clock
from fleet_q.adapters.ids import INTAKE
from fleet_q.adapters.memory import MemoryDatabase, MemoryTransaction
from fleet_q.core.event_store import EventStore

WRITES = frozenset(
    {
        "write_dependencies", "delete_dependencies", "write_steps", "write_progress", "write_pods",
        "write_queues", "write_schedule", "delete_schedule", "prune_steps", "prune_pod",
        "replace_steps", "replace_queues", "replace_pods",
    }
)  # fmt: skip
"""The methods of a transaction that write; ``fleet_q.core.ports.Transaction`` describes them. Two
more, ``wait_again`` and ``delete_dependencies_of``, are made of these."""

Write = tuple[str, tuple[Any, ...]]
"""The name and the arguments of a call."""


class JournalStore(EventStore):
    """A store whose file is ``path``, for one process. ``clock`` gives microseconds since 1970."""

    def __init__(self, path: Path, clock: Callable[[], int] = wall_clock) -> None:
        database = JournalDatabase(path, clock)
        fork.register(database)  # no process is forked within a transaction
        super().__init__(database, INTAKE)


class JournalDatabase(MemoryDatabase):
    """The rows in memory, and the file."""

    def __init__(self, path: Path, clock: Callable[[], int]) -> None:
        super().__init__(clock)
        self._file = path.open("r+b" if path.exists() else "w+b")
        self._file.truncate(self._repeat())
        self._file.seek(0, os.SEEK_END)

    def begin(self) -> JournalTransaction:
        return JournalTransaction(self, self._clock())

    @contextmanager
    def write(self) -> Iterator[MemoryTransaction]:
        with super().write() as tx:
            yield tx
            assert isinstance(tx, JournalTransaction)
            if tx.written:  # if this fails, on a full disk for example, all is rolled back
                pickle.dump((tx.at, tx.written), self._file)
                self._file.flush()
                os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def _repeat(self) -> int:
        """Repeat all transactions of the file; where the last complete one ends."""
        end = 0
        while True:
            try:
                at, written = pickle.load(self._file)
            except (EOFError, pickle.UnpicklingError):  # what follows was never committed
                return end
            tx = MemoryTransaction(self, at)
            for name, arguments in written:
                getattr(tx, name)(*arguments)
            end = self._file.tell()


class JournalTransaction(MemoryTransaction):
    """A transaction that keeps a list of its writes."""

    def __init__(self, database: MemoryDatabase, at: int) -> None:
        super().__init__(database, at)
        self.written: list[Write] = []
        self._is_writing = False

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if name not in WRITES or self._is_writing:
            return value

        def write(*arguments: Any) -> Any:
            arguments = tuple(map(_listed, arguments))
            self._is_writing = True  # it may call others, which need not be written down
            try:
                result = value(*arguments)
            finally:
                self._is_writing = False
            self.written.append((name, arguments))
            return result

        return write


def _listed(argument: Any) -> Any:
    """An argument, with the values of an iterator as a list."""
    return list(argument) if isinstance(argument, Iterator) else argument
