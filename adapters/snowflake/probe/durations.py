"""How long statements take, at the client and on the server."""

from __future__ import annotations

from statistics import median
from typing import Final

from fleet_q.adapters.snowflake.probe.client import Client, Ran
from fleet_q.adapters.snowflake.probe.result import Found, differs, not_tried, ok
from fleet_q.adapters.snowflake.probe.room import Probe, Room
from fleet_q.adapters.snowflake.times import MEASURED

ROUNDS: Final = 3

SLOWER: Final = 2.0
"""A statement is slow that takes more than as many times what was measured elsewhere."""

TOLERANCE: Final = 0.1
"""Seconds by which a statement may be slower in any case."""


def standard(room: Room) -> Found:
    """Run every kind of statement some times."""
    client = room.client()
    client.run("create_procedure")
    client.run("merge", id="duration")  # adds the row
    ran: dict[str, list[Ran]] = {}
    for number in range(ROUNDS):
        for kind, name, values in (
            ("insert", "insert", {"id": f"duration {number}", "n": 0, "text": None}),
            ("begin", "begin", {}),
            ("update", "update", {"id": "duration", "n": number}),
            ("commit", "commit", {}),
            ("select", "read", {"id": "duration"}),
            ("merge", "merge", {"id": "duration"}),
            ("delete", "delete", {"id": f"duration {number}"}),
            ("call", "call", {}),
        ):
            ran.setdefault(kind, []).append(client.run(name, **values))
    return medians(room, client, ran)


def medians(room: Room, client: Client, ran: dict[str, list[Ran]]) -> Found:
    """Note the medians of what ran, by the fields of ``Times``, and compare them."""
    statements = [statement for kind_ran in ran.values() for statement in kind_ran]
    history = client.history([statement.query_id for statement in statements])
    if len(history) < len(statements):
        return not_tried("the history of queries does not show the statements")
    times = {
        kind: median(history[statement.query_id].seconds for statement in kind_ran)
        for kind, kind_ran in ran.items()
    }
    if "request" not in room.shared.times:
        requests = [s.seconds - history[s.query_id].seconds for s in statements]
        times["request"] = max(median(requests), 0.0)
    room.shared.times.update(times)
    slow = [kind for kind, seconds in times.items() if _is_slow(kind, seconds)]
    if slow:
        return differs(", ".join(f"{kind} {times[kind]:.2f} s" for kind in slow))
    return ok(f"{len(times)} durations, none much longer")


def _is_slow(kind: str, seconds: float) -> bool:
    return seconds > SLOWER * float(getattr(MEASURED, kind)) + TOLERANCE


PROBES: Final = (
    Probe(
        name="durations",
        expected="as measured elsewhere",
        why="How many pods a fleet may have depends on them; simulate --latencies tells.",
        run=standard,
        lane="reads",
        seconds=20,
        statements=8 * ROUNDS + 3,
    ),
)
