"""Runs the probes, in tables of their own that are dropped whatever happens."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final

import msgspec
from snowflake.connector.errors import Error

from fleet_q.adapters.snowflake.errors import translated
from fleet_q.adapters.snowflake.migrate import migrate
from fleet_q.adapters.snowflake.probe import locks, metadata
from fleet_q.adapters.snowflake.probe.result import (
    Found,
    ProbeResult,
    described,
    differs,
    fail,
    not_tried,
    ok,
)
from fleet_q.adapters.snowflake.probe.room import PATIENCE, Probe, Room
from fleet_q.adapters.snowflake.statements import quoted
from fleet_q.adapters.snowflake.times import Times
from fleet_q.core.errors import FleetQError

PROBES: Final = (*metadata.PROBES, *locks.PROBES)

BUDGET: Final = 100.0
"""Seconds after which no probe begins, unless the long ones are asked for. Dropping the tables
comes on top."""


class Effort(msgspec.Struct, frozen=True):
    """About what the probes take."""

    statements: int
    seconds: float


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
        self._room = Room(connection, is_long=is_long, patience=patience)
        self._probes = (_SET_UP, *(PROBES if probes is None else probes))
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
        """Drop the tables; ``leftovers`` are those that could not be dropped."""
        self.leftovers = (f"{self._room.scratch.prefix}*",)
        self._room.close_clients()
        try:
            self.leftovers = tuple(_drop(self._room))
        except (Error, OSError):
            pass
        finally:
            self._room.close()

    @property
    def times(self) -> dict[str, float]:
        """The durations that were found, in the order of the fields of
        :class:`~fleet_q.adapters.snowflake.times.Times`."""
        found = self._room.times
        return {name: found[name] for name in Times.__struct_fields__ if name in found}

    @property
    def names(self) -> list[str]:
        """The names of the probes, in order."""
        return [probe.name for probe in self._probes]

    @property
    def effort(self) -> Effort:
        """About what will be done."""
        tried = [probe for probe in self._probes if self._room.is_long or not probe.is_long]
        seconds = sum(probe.seconds for probe in tried)
        return Effort(sum(probe.statements for probe in tried), min(seconds, self._budget))

    def results(self) -> Iterator[ProbeResult]:
        """Run the probes and yield their results. Raises :class:`StoreError` if the account cannot
        be reached."""
        until = time.monotonic() + self._budget
        try:
            self._room.main.run("session")
        except Error as error:
            raise translated(error) from error
        is_set_up = True
        for probe in self._probes:
            if probe.is_long and not self._room.is_long:
                found = not_tried("takes long: --long")
            elif not is_set_up:
                found = not_tried("there are no tables")
            elif time.monotonic() + probe.seconds > until:
                found = not_tried("no time left: --long")
            else:
                found = self._found(probe)
            is_set_up = is_set_up and (probe is not _SET_UP or found.verdict == "ok")
            yield ProbeResult(probe.name, found.verdict, probe.expected, found.text, probe.why)

    def _found(self, probe: Probe) -> Found:
        try:
            return probe.run(self._room)
        except Error as error:
            text = described(error)
        except (FleetQError, OSError) as error:
            text = str(error)
        finally:
            self._room.close_clients()
        return fail(text) if probe.is_essential else differs(text)


def _set_up(room: Room) -> Found:
    for _ in migrate(room.store.session):
        pass
    scratch = room.scratch
    for table in (scratch.table, scratch.other):
        room.main.execute(scratch.text("create", table=table))
    room.main.run("insert", id="a", n=0, text=None)
    room.main.run("insert_other")
    return ok(f"made, as {scratch.prefix}*")


def _drop(room: Room) -> Iterator[str]:
    """Drop the probe's tables, and yield the names of those that stay."""
    for row in room.main.show("show_tables"):
        if room.scratch.is_ours(row["name"]):
            try:
                room.main.execute(room.scratch.text("drop", table=quoted(row["name"])))
            except (Error, OSError):
                yield row["name"]


_SET_UP: Final = Probe(
    name="own tables",
    expected="can be made",
    why="Everything else is tried in them; they are dropped at the end.",
    run=_set_up,
    seconds=12,
    statements=24,
    is_essential=True,
)
