"""Runs the probes, in tables of their own that are dropped whatever happens.

Those of different lanes run side by side, as most of the time is spent waiting.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from queue import Queue
from types import TracebackType
from typing import Any, Final

import msgspec
from snowflake.connector.errors import Error

from fleet_q.adapters.snowflake.probe import (
    durations,
    hybrid,
    killed,
    large_results,
    life,
    locks,
    metadata,
    stale_reads,
    statements,
    tables,
    waiters,
)
from fleet_q.adapters.snowflake.probe.lane import LaneThread
from fleet_q.adapters.snowflake.probe.result import ProbeResult
from fleet_q.adapters.snowflake.probe.room import PATIENCE, Probe, Room, Shared
from fleet_q.adapters.snowflake.probe.scratch import new_prefix
from fleet_q.adapters.snowflake.times import Times

PROBES: Final = (
    *life.PROBES,
    *metadata.PROBES,
    *statements.PROBES,
    *locks.PROBES,
    *large_results.PROBES,
    *stale_reads.PROBES,
    *killed.PROBES,
    *durations.PROBES,
    *hybrid.PROBES,
    *waiters.PROBES,
)

BUDGET: Final = 100.0
"""Seconds after which no probe begins, unless the long ones are asked for. Dropping the tables
comes on top."""


class Effort(msgspec.Struct, frozen=True):
    """About what the probes take."""

    statements: int
    seconds: float


DROPPING: Final = Effort(30, 15)
"""What dropping the tables and procedures takes."""


class Examination:
    """The probes of one account, as a context that drops their tables at its end.

    ``connection`` are the parameters of the connector's ``connect``. Without ``is_long``, probes
    that take longer are not tried, and none begins that would end after ``budget`` seconds.
    ``probes`` are all of them by default. ``patience`` is in seconds: see
    :data:`~fleet_q.adapters.snowflake.probe.room.PATIENCE`.
    """

    def __init__(
        self,
        connection: Mapping[str, Any],
        *,
        is_long: bool = False,
        probes: Sequence[Probe] | None = None,
        budget: float = BUDGET,
        patience: float = PATIENCE,
    ) -> None:
        self._shared = Shared(connection, is_long, patience, new_prefix(), {}, {}, {})
        wanted = PROBES if probes is None else probes
        self._lanes = [
            LaneThread(Room(self._shared, first.lane), [first, *probes_of_lane])
            for first in tables.PROBES
            if (probes_of_lane := [probe for probe in wanted if probe.lane == first.lane])
        ]
        self._budget = float("inf") if is_long else budget
        self.leftovers: tuple[str, ...] = ()

    def __enter__(self) -> Examination:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End all sessions and drop the tables; ``leftovers`` are what could not be dropped."""
        self.leftovers = (f"{self._shared.prefix}*",)
        for lane in self._lanes:
            lane.stop()
        with suppress(Error, OSError):
            self.leftovers = tuple(tables.drop(self._shared))

    @property
    def times(self) -> dict[str, float]:
        """The durations that were found, in the order of the fields of
        :class:`~fleet_q.adapters.snowflake.times.Times`."""
        found = self._shared.times
        return {name: round(found[name], 4) for name in Times.__struct_fields__ if name in found}

    @property
    def calls(self) -> dict[str, float]:
        """The durations of the store's methods that were found, at the client."""
        return {name: round(seconds, 4) for name, seconds in self._shared.calls.items()}

    @property
    def procedures(self) -> dict[str, float]:
        """The durations of the stored procedures that were found, on the server."""
        return {name: round(seconds, 4) for name, seconds in self._shared.procedures.items()}

    @property
    def names(self) -> list[str]:
        """The names of the probes, in order."""
        return [probe.name for lane in self._lanes for probe in lane.probes]

    @property
    def effort(self) -> Effort:
        """About what will be done."""
        is_long = self._shared.is_long
        tried = [[p for p in lane.probes if is_long or not p.is_long] for lane in self._lanes]
        seconds = max(sum(probe.seconds for probe in probes) for probes in tried)
        statements = sum(probe.statements for probes in tried for probe in probes)
        return Effort(
            statements + DROPPING.statements, min(seconds, self._budget) + DROPPING.seconds
        )

    def results(self) -> Iterator[ProbeResult]:
        """Run the probes and yield their results as they come. Raises :class:`StoreError` if the
        account cannot be reached."""
        until = time.monotonic() + self._budget
        for lane in self._lanes:
            lane.sign_in()
        done: Queue[ProbeResult | BaseException] = Queue()
        for lane in self._lanes:
            lane.start(until, done)
        for _ in self.names:
            result = done.get()
            if isinstance(result, BaseException):
                raise result
            yield result
