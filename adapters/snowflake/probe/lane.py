"""Runs probes one after another in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from queue import Queue
from typing import Final

from snowflake.connector.errors import Error

from fleet_q.adapters.snowflake.errors import translated
from fleet_q.adapters.snowflake.probe.result import (
    Found,
    ProbeResult,
    described,
    differs,
    fail,
    not_tried,
)
from fleet_q.adapters.snowflake.probe.room import Probe, Room
from fleet_q.core.errors import FleetQError

STOP_TIMEOUT: Final = 10.0
"""Seconds for which a probe may go on after it was interrupted."""


class LaneThread:
    """Probes that run one after another; without the first, the others are not tried."""

    def __init__(self, room: Room, probes: Sequence[Probe]) -> None:
        self.probes = probes
        self._room = room
        self._thread: threading.Thread | None = None

    def sign_in(self) -> None:
        """Open the lane's first session. Raises :class:`StoreError`."""
        try:
            self._room.main.run("session")
        except Error as error:
            raise translated(error) from error

    def start(self, until: float, done: Queue[ProbeResult | BaseException]) -> None:
        """Run the probes in a thread, and put the result of each into ``done``, or an error that is
        no result. None begins that would end after ``until``."""
        self._thread = threading.Thread(target=self._run, args=(until, done), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Interrupt the probes, and end their sessions."""
        self._room.stop()
        if self._thread is not None:
            self._thread.join(STOP_TIMEOUT)
        self._room.close()

    def _run(self, until: float, done: Queue[ProbeResult | BaseException]) -> None:
        has_tables = True
        for probe in self.probes:
            if self._room.is_stopped:
                return
            try:
                found = self._found(probe, until) if has_tables else not_tried("no tables")
            except BaseException as error:  # an error of the probe itself
                done.put(error)
                return
            has_tables = has_tables and (probe is not self.probes[0] or found.verdict == "ok")
            done.put(ProbeResult(probe.name, found.verdict, probe.expected, found.text, probe.why))

    def _found(self, probe: Probe, until: float) -> Found:
        if probe.is_long and not self._room.shared.is_long:
            return not_tried("takes long: --long")
        if time.monotonic() + probe.seconds > until:
            return not_tried("no time left: --long")
        try:
            return probe.run(self._room)
        except Error as error:
            text = described(error)
        except (FleetQError, OSError) as error:
            text = str(error)
        finally:
            self._room.end_probe()
        return fail(text) if probe.is_essential else differs(text)
