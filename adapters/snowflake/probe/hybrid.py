"""Whether the account has hybrid tables, and whether they lock single rows."""

from __future__ import annotations

from concurrent.futures import wait
from contextlib import closing
from typing import Final

from snowflake.connector.errors import Error

from fleet_q.adapters.snowflake.probe.client import Ran
from fleet_q.adapters.snowflake.probe.durations import ROUNDS, medians
from fleet_q.adapters.snowflake.probe.life import Life
from fleet_q.adapters.snowflake.probe.locks import hold
from fleet_q.adapters.snowflake.probe.result import Found, described, differs, not_tried, ok
from fleet_q.adapters.snowflake.probe.room import Probe, Room
from fleet_q.adapters.snowflake.schema import TableKind
from fleet_q.adapters.snowflake.store import SnowflakeStore
from fleet_q.core.errors import StoreError


def tables(room: Room) -> Found:
    """Make a hybrid table, change a row of it while another is locked, and take the times."""
    client, table = room.client(), room.scratch.hybrid
    try:
        client.run("create_hybrid")
    except Error as error:
        return not_tried(f"the account has none: {described(error)}")
    for row in ("one", "other"):
        client.run("insert", on=table, id=row, n=0, text=None)
    holder = room.client()
    hold(holder, "update", on=table, id="one", n=1)
    future = client.later("update", on=table, id="other", n=1)
    wait([future], timeout=room.patience)
    if not future.done():
        return differs("locks more than a row: syncs wait for each other")
    future.result()
    holder.run("commit")
    ran: dict[str, list[Ran]] = {}
    for number in range(ROUNDS):
        for kind, name, values in (
            ("hybrid_insert", "insert", {"id": f"row {number}", "n": 0, "text": None}),
            ("hybrid_update", "update", {"id": "one", "n": number}),
            ("hybrid_merge", "merge", {"id": "one"}),
            ("hybrid_select", "read", {"id": "one"}),
        ):
            ran.setdefault(kind, []).append(client.run(name, on=table, **values))
    found = medians(room, client, ran)
    return ok("do so") if found.verdict == "ok" else found


def store(room: Room) -> Found:
    """Make a store with hybrid tables, and run a small life in it."""
    prefix = f"{room.shared.prefix}H_"
    with closing(SnowflakeStore(room.shared.connection, prefix=prefix)) as hybrid_store:
        try:
            room.migrate(hybrid_store, TableKind.HYBRID)
        except StoreError as error:
            return not_tried(str(error))
        Life(hybrid_store, {}).run()
    return ok("works")


PROBES: Final = (
    Probe(
        name="hybrid tables",
        expected="lock single rows",
        why="fleet-q schema --table-kind hybrid needs them.",
        run=tables,
        lane="reads",
        seconds=14,
        statements=4 * ROUNDS + 10,
    ),
    Probe(
        name="store on hybrid tables",
        expected="works",
        why="fleet-q schema --table-kind hybrid makes such a store.",
        run=store,
        lane="reads",
        seconds=60,
        statements=80,
        is_long=True,
    ),
)
