"""Whether polls of an idle fleet need the warehouse."""

from __future__ import annotations

from typing import Final

from fleet_q.adapters.snowflake.probe.result import Found, differs, not_tried, ok
from fleet_q.adapters.snowflake.probe.room import Probe, Room


def polls(room: Room) -> Found:
    """Read the change counter twice: the second time the result may be cached."""
    text, _ = room.store.session.statements.bind("change_counter", {})
    first, again = room.main.execute(text), room.main.execute(text)
    history = room.main.history([first.query_id, again.query_id])
    if len(history) < 2:
        return not_tried("the history of queries does not show the statements")
    times = room.shared.times
    times["metadata"] = max(poll.seconds for poll in history.values())
    sizes = {poll.warehouse for poll in history.values()} - {None}
    took = f"{times['metadata'] * 1_000:.0f} ms on the server"
    if sizes:
        return differs(f"needs the warehouse ({', '.join(map(str, sizes))}); {took}")
    return ok(f"no warehouse; {took}")


PROBES: Final = (
    Probe(
        name="polls",
        expected="no warehouse",
        why="Sleeping pods poll the change counter; a warehouse that runs for that is billed.",
        run=polls,
        lane="store",
        seconds=4,
        statements=4,
    ),
)
