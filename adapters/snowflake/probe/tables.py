"""Makes the tables of the probe, and drops them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from snowflake.connector.errors import Error

from fleet_q.adapters.snowflake.probe.client import Client
from fleet_q.adapters.snowflake.probe.result import Found, ok
from fleet_q.adapters.snowflake.probe.room import Lane, Probe, Room, Shared
from fleet_q.adapters.snowflake.probe.scratch import Scratch
from fleet_q.adapters.snowflake.statements import quoted


def make_store(room: Room) -> Found:
    """Make a store as ``fleet-q schema --apply`` does."""
    return ok(f"{room.migrate(room.store)} statements ran")


def make_tables(room: Room) -> Found:
    """Make the tables for experiments."""
    scratch = room.scratch
    for table in (scratch.table, scratch.other):
        room.main.execute(scratch.text("create", table=table))
    room.main.run("insert", id="a", n=0, text=None)
    room.main.run("insert_other")
    return ok("made")


def drop(shared: Shared) -> Iterator[str]:
    """Drop all tables and procedures of the probe, and yield the names of those that stay."""
    scratch = Scratch(shared.prefix, "")
    client = Client(shared.connection, scratch, {})
    drops = {}
    for row in client.show("show_procedures"):
        types = row["arguments"].partition(" RETURN")[0].partition("(")[2]
        signature = f"{quoted(row['name'])}({types}"
        drops[row["name"]] = scratch.text("drop_procedure", procedure=signature)
    for row in client.show("show_tables"):
        drops[row["name"]] = scratch.text("drop", table=quoted(row["name"]))
    for name, statement in drops.items():
        if name.startswith(shared.prefix) and not _is_dropped(client, statement):
            yield name
    client.close()


def _is_dropped(client: Client, statement: str) -> bool:
    try:
        client.execute(statement)
    except (Error, OSError):
        return False
    return True


def _tables(lane: Lane) -> Probe:
    return Probe(
        name=f"tables for {lane}",
        expected="can be made",
        why="Everything about locks and reads is tried in tables of the probe's own.",
        run=make_tables,
        lane=lane,
        seconds=4,
        statements=5,
        is_essential=True,
    )


PROBES: Final = (
    Probe(
        name="own store",
        expected="can be made",
        why="fleet-q schema --apply does the same.",
        run=make_store,
        lane="store",
        seconds=20,
        statements=30,
        is_essential=True,
    ),
    _tables("locks"),
    _tables("reads"),
)
"""The first probe of each lane; without it, the others of the lane are not tried."""
