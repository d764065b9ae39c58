"""How many statements may wait for one lock."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Final

from snowflake.connector.errors import Error

from fleet_q.adapters.snowflake.probe.client import Client, Ran
from fleet_q.adapters.snowflake.probe.locks import SETTLED, hold
from fleet_q.adapters.snowflake.probe.result import Found, differs, fail, judge, ok
from fleet_q.adapters.snowflake.probe.room import Probe, Room
from fleet_q.adapters.snowflake.traits import MOST_WAITERS

SESSIONS: Final = 60
"""Sessions that wait, at most. The largest limit that was reported is 50."""

SIGN_INS: Final = 8
"""Sessions that are opened at a time."""


def most_waiters(room: Room) -> Found:
    """Let ever more sessions wait for a lock until one is rejected."""
    hold(room.client(), "increment")
    waiting: list[Future[Ran]] = []
    for client in _clients(room):
        waiting.append(client.later("increment"))
        if wait(waiting, timeout=SETTLED / SIGN_INS, return_when=FIRST_COMPLETED).done:
            break
    done, not_done = wait(waiting, timeout=SETTLED)
    if done:
        return _judge(done.pop(), len(not_done))
    return ok(f"{len(waiting)} wait, and none is rejected")


def _clients(room: Room) -> Iterator[Client]:
    """Sessions whose statements wait for longer than the probe takes."""
    with ThreadPoolExecutor(SIGN_INS) as threads:
        parameters = {"LOCK_TIMEOUT": 60, "STATEMENT_TIMEOUT_IN_SECONDS": 120}
        yield from threads.map(lambda _: room.client(**parameters), range(SESSIONS))


def _judge(rejected: Future[Ran], waiting: int) -> Found:
    error = rejected.exception()
    if error is None:
        return fail("a statement did not wait")
    if not isinstance(error, Error):
        raise error
    found = judge(error)
    text = f"{waiting} wait; the next one: {found.text}"
    if found.verdict == "ok" and waiting < MOST_WAITERS:
        return differs(text)
    return Found(found.verdict, text)


PROBES: Final = (
    Probe(
        name="most waiters",
        expected=f"{MOST_WAITERS} or more, then an error that is retried",
        why="Statements beyond the limit are rejected, and pods retry them later.",
        run=most_waiters,
        lane="locks",
        seconds=60,
        statements=2 * SESSIONS,
        is_long=True,
    ),
)
