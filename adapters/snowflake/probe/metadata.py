"""Whether polls of an idle fleet need the warehouse, and sessions have FLEET-Q's parameters."""

from __future__ import annotations

from typing import Any, Final

from fleet_q.adapters.snowflake.parameters import SESSION_PARAMETERS
from fleet_q.adapters.snowflake.probe.result import Found, differs, not_tried, ok
from fleet_q.adapters.snowflake.probe.room import Probe, Room


def polls(room: Room) -> Found:
    """Read the change counter twice: the second time Snowflake has the result, or the metadata."""
    text, _ = room.store.session.statements.bind("change_counter", {})
    first, again = room.main.execute(text), room.main.execute(text)
    history = room.main.history([first.query_id, again.query_id])
    if len(history) < 2:
        return not_tried("the history of queries does not show the statements")
    times = room.shared.times
    poll = history[again.query_id]
    times["metadata"] = poll.seconds
    took = f"{poll.seconds * 1_000:.0f} ms on the server"
    if poll.warehouse:
        return differs(f"needs the warehouse ({poll.warehouse}); {took}")
    after_change = "" if history[first.query_id].warehouse is None else ", but after a change"
    return ok(f"no warehouse{after_change}; {took}")


def session_parameters(room: Room) -> Found:
    """Read back the parameters that a session of the store has set."""
    text = room.scratch.text("show_parameters")
    shown = {row["key"].upper(): row["value"] for row in room.store.session.show_text(text)}
    lacking = [name for name in SESSION_PARAMETERS if name not in shown]
    others = [
        f"{name} is {shown[name]}, not {_written(value)}"
        for name, value in SESSION_PARAMETERS.items()
        if name in shown and str(shown[name]).lower() != _written(value)
    ]
    if lacking:
        others.append(f"the account does not have {', '.join(lacking)}")
    return differs("; ".join(others)) if others else ok(f"all {len(SESSION_PARAMETERS)} are set")


def _written(value: Any) -> str:
    return str(value).lower()


PROBES: Final = (
    Probe(
        name="session parameters",
        expected="as FLEET-Q sets them",
        why="A statement must end before its pod counts as dead, also one whose client is gone.",
        run=session_parameters,
        lane="store",
        seconds=1,
        statements=1,
    ),
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
