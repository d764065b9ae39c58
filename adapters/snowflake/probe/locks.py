"""What happens to statements that wait for the lock of a table."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, Final

from snowflake.connector.errors import Error

from fleet_q.adapters.snowflake.probe.client import Client, Ran
from fleet_q.adapters.snowflake.probe.result import Found, differs, fail, judge, ok
from fleet_q.adapters.snowflake.probe.room import Probe, Room

SETTLED: Final = 1.0
"""Seconds after which a statement that waits has certainly arrived."""


def waited_update(room: Room) -> Found:
    """Claim a row that another session claims, and count in rows that it changes and adds."""
    room.main.run("insert", id="free", n=0, text=None)
    holder, waiter = room.client(), room.client()
    hold(holder, "take", id="free", text="first")
    claim = waiter.later("take", id="free", text="second")
    wait([claim], timeout=SETTLED)
    holder.run("commit")
    if claim.result().changed or room.main.run("read", id="free").rows[0][1] != "first":
        return fail("it overwrites the change: two pods could claim one step")
    hold(holder, "increment")
    holder.run("insert", id="late", n=0, text=None)
    count = waiter.later("increment")
    wait([count], timeout=SETTLED)
    holder.run("commit")
    count.result()
    if int(room.main.run("read", id="free").rows[0][0]) != 2:
        return fail("it overwrites the change: outcomes of steps could be lost")
    if int(room.main.run("read", id="late").rows[0][0]):
        return ok("what was committed while it waited, new rows too")
    return ok("the changes of its rows, but no new rows")


def lock_timeout(room: Room) -> Found:
    """Wait for a lock that is not released."""
    return _judge_waiting(room, "increment", LOCK_TIMEOUT=1)


def lock_timeout_in_procedure(room: Room) -> Found:
    """Wait, in a procedure, for a lock that is not released: the number could be another, and the
    procedure could wait for longer than its caller's session may."""
    room.main.run("create_locking_procedure")
    return _judge_waiting(room, "call", LOCK_TIMEOUT=1)


def statement_timeout(room: Room) -> Found:
    """Wait for a lock for longer than a statement may take."""
    return _judge_waiting(room, "increment", STATEMENT_TIMEOUT_IN_SECONDS=1)


def deadlock(room: Room) -> Found:
    """Let two sessions wait for each other's lock."""
    one, two = room.client(), room.client()
    hold(one, "increment")
    hold(two, "increment_other")
    waiting = {one.later("increment_other"): one, two.later("increment"): two}
    (first, *_), _ = wait(waiting, return_when=FIRST_COMPLETED)
    waiting[first].run("rollback")
    return _judge_future(first)


def insert_beside_update(room: Room) -> Found:
    """Insert rows into a table whose lock another session holds."""
    hold(room.client(), "increment")
    inserter = room.client()
    future = inserter.later("insert", id="beside", n=0, text=None)
    wait([future], timeout=room.patience)
    if not future.done():
        return differs("waits for the lock; heartbeats may be late under load")
    return ok(f"does not wait; {future.result().seconds:.2f} s")


def hold(client: Client, name: str, *, on: str | None = None, **values: Any) -> None:
    """Begin a transaction, and take the table's lock with a statement."""
    client.run("begin")
    client.run(name, on=on, **values)


def _judge_waiting(room: Room, name: str, **parameters: Any) -> Found:
    """The finding for the error of a statement that waits for a lock, in a session with these
    parameters."""
    hold(room.client(), "increment")
    try:
        room.client(**parameters).run(name)
    except Error as error:
        return judge(error)
    return fail("none: it did not wait for the lock of the table")


def _judge_future(future: Future[Ran]) -> Found:
    error = future.exception()
    if error is None:
        return fail("none: nobody waited for a lock")
    if not isinstance(error, Error):
        raise error
    return judge(error)


PROBES: Final = (
    Probe(
        name="UPDATE that waited",
        expected="sees what was committed meanwhile",
        why="Two pods that claim at once must not get the same step.",
        run=waited_update,
        lane="locks",
        seconds=10,
        statements=13,
        is_essential=True,
    ),
    Probe(
        name="lock time-out",
        expected="an error that is retried",
        why="A pod that takes the error for fatal would stop.",
        run=lock_timeout,
        lane="locks",
        seconds=5,
        statements=3,
    ),
    Probe(
        name="time-out in procedure",
        expected="an error that is retried",
        why="Every call that writes is a procedure, and its errors should have the same numbers.",
        run=lock_timeout_in_procedure,
        lane="locks",
        seconds=6,
        statements=4,
    ),
    Probe(
        name="statement time-out",
        expected="an error that is retried",
        why="A pod that takes the error for fatal would stop.",
        run=statement_timeout,
        lane="locks",
        seconds=5,
        statements=3,
    ),
    Probe(
        name="deadlock",
        expected="an error that is retried",
        why="A pod that takes the error for fatal would stop.",
        run=deadlock,
        lane="locks",
        seconds=12,
        statements=8,
    ),
    Probe(
        name="INSERT beside UPDATE",
        expected="does not wait for the lock",
        why="Heartbeats and requests are INSERTs, which must not queue behind syncs.",
        run=insert_beside_update,
        lane="locks",
        seconds=8,
        statements=3,
    ),
)
