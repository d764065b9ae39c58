"""Whether a session sees at once what another has committed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from fleet_q.adapters.snowflake.probe.result import Found, differs, fail, ok
from fleet_q.adapters.snowflake.probe.room import Probe, Room

ROUNDS: Final = 6
LONG_ROUNDS: Final = 100
"""Rounds of two reads each, a row and a count."""


def see_commits(room: Room) -> Found:
    """Read in one session right after each commit of another."""
    writer, reader = room.client(), room.client()
    writer.run("insert", id="stale", n=0, text=None)
    rows = int(reader.run("count").rows[0][0])
    rounds = LONG_ROUNDS if room.shared.is_long else ROUNDS
    delays = []
    for number in range(1, rounds + 1):
        writer.run("update", id="stale", n=number)
        delays.append(_delay(lambda: int(reader.run("read", id="stale").rows[0][0]), number, room))
        writer.run("insert", id=f"stale {number}", n=0, text=None)
        delays.append(_delay(lambda: int(reader.run("count").rows[0][0]), rows + number, room))
    late = [delay for delay in delays if delay > 0]
    if float("inf") in late:
        return fail(f"a commit was not seen after {room.patience:g} s")
    if late:
        return differs(f"{len(late)} of {len(delays)} reads missed it, for up to {max(late):.2f} s")
    return ok(f"{len(delays)} of {len(delays)} reads saw it")


def _delay(read: Callable[[], int], wanted: int, room: Room) -> float:
    """Seconds until a read returns at least this; 0 if the first does."""
    began = time.monotonic()
    if read() >= wanted:
        return 0.0
    while read() < wanted:
        if time.monotonic() - began > room.patience:
            return float("inf")
    return time.monotonic() - began


PROBES: Final = (
    Probe(
        name="fresh reads",
        expected="see the last commit",
        why="A pod that polls too early must poll again, which delays its steps.",
        run=see_commits,
        lane="reads",
        seconds=14,
        statements=4 * ROUNDS + 2,
    ),
)
