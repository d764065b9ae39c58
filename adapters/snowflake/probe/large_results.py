"""Whether results arrive that Snowflake does not send itself, but leaves in the cloud's storage."""

from __future__ import annotations

import secrets
from typing import Final

from fleet_q.adapters.snowflake.probe.result import Found, fail, not_tried, ok
from fleet_q.adapters.snowflake.probe.room import Probe, Room

CHARACTERS: Final = 400_000
"""Of the smaller result. Results over some 100 KB were observed to come from storage."""

DOUBLINGS: Final = 4
"""The larger result is 2 ** DOUBLINGS times as large: 6.4 MB."""

SLOWEST: Final = 4
"""A result has as many times the probe's patience to arrive."""


def arrive(room: Room) -> Found:
    """Read two results in a process of its own, as the driver can hang for minutes."""
    main, scratch = room.main, room.scratch
    main.run("insert", id="large", n=0, text=secrets.token_hex(CHARACTERS // 2))
    for _ in range(DOUBLINGS):
        main.run("double", id="large")
    process = room.process([scratch.text("text"), scratch.text("texts")])
    if not process.has_signed_in:
        return not_tried("another process could not sign in")
    for size in (CHARACTERS, CHARACTERS * 2**DOUBLINGS):
        line = process.next_line(room.patience * SLOWEST)
        what = f"{size / 1_000_000:.1f} MB"
        if line is None:
            return fail(
                f"{what} did not arrive: let this machine reach the STAGE hosts that SELECT"
                " SYSTEM$ALLOWLIST() names"
            )
        if line["characters"] != size:
            return fail(f"{line['characters']} characters arrived of {what}")
    return ok(f"{CHARACTERS / 1_000_000:.1f} and {what} arrive")


PROBES: Final = (
    Probe(
        name="large results",
        expected="arrive",
        why="A pod claims steps that it cannot read if it cannot reach the cloud's storage.",
        run=arrive,
        lane="reads",
        seconds=10,
        statements=8,
        is_essential=True,
    ),
)
