"""What becomes of the transaction, or the statement, of a client that is killed."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from snowflake.connector.errors import Error

from fleet_q.adapters.snowflake.probe.locks import hold
from fleet_q.adapters.snowflake.probe.result import Found, differs, not_tried, ok
from fleet_q.adapters.snowflake.probe.room import Probe, Room

ABORT_TIMEOUT: Final = 420
"""Seconds. A transaction for which others wait is aborted after five minutes:
https://docs.snowflake.com/en/sql-reference/transactions."""


WAITER_TIMEOUT: Final = 900
"""Seconds for which the statement of a killed client may wait; longer than all others."""

_VERBS: Final = {True: "goes on", False: "is cancelled", None: "could not be tried"}

PAUSE: Final = 0.2
"""Seconds between two looks."""

HELD_FOR: Final = 5
"""Seconds for which the lock of a killed client is asked for, unless the probe may take long."""


def idle_transaction(room: Room) -> Found:
    """Kill a client between two statements of its transaction, and ask for its lock."""
    scratch = room.scratch
    names = ("begin", "increment", "current_transaction")
    process = room.process([scratch.text(name) for name in names])
    lines = [process.next_line() for _ in names]
    transaction = lines[-1]
    if transaction is None:
        return not_tried("another process could not run a transaction")
    process.kill()
    timeout = ABORT_TIMEOUT if room.shared.is_long else HELD_FOR
    waiter = room.client(LOCK_TIMEOUT=timeout, STATEMENT_TIMEOUT_IN_SECONDS=2 * timeout)
    began = time.monotonic()
    try:
        waiter.run("increment")
    except Error:
        text = f"keeps its lock for {timeout} s"
        aborted = room.main.execute(
            scratch.text("abort_transaction", transaction=str(int(transaction["first"])))
        )
        with suppress(Error):
            waiter.run("increment")
            return ok(f"{text}; could be aborted: {aborted.rows[0][0]}")
        return differs(f"{text}, and could not be aborted: {aborted.rows[0][0]}")
    return ok(f"its lock is free after {time.monotonic() - began:.0f} s")


def waiting_statement(room: Room) -> Found:
    """Kill a client while its UPDATE waits for a lock, then release the lock: at once, or, if the
    statement should be aborted and the probe may take long, once it is."""
    wanted = {False: True, True: not room.shared.is_long}
    goes_on = {value: _goes_on(room, value) for value in wanted}
    text = "with ABORT_DETACHED_QUERY " + ", ".join(
        f"{str(value).lower()} {_VERBS[does]}" for value, does in goes_on.items()
    )
    return ok(text) if goes_on == wanted else differs(text)


def _goes_on(room: Room, abort_detached: bool) -> bool | None:
    """Whether the statement was carried out; ``None`` if it could not be tried."""
    row = f"killed {abort_detached}"
    room.main.run("insert", id=row, n=0, text=None)
    holder = room.client()
    hold(holder, "increment")
    process = room.process(
        [room.scratch.text("session"), room.scratch.text("increment")],
        ABORT_DETACHED_QUERY=abort_detached,
        LOCK_TIMEOUT=WAITER_TIMEOUT,
        STATEMENT_TIMEOUT_IN_SECONDS=WAITER_TIMEOUT,
    )
    if process.next_line() is None:
        return None
    _poll_until(lambda: _one_waits(room), room.patience)
    process.kill()
    is_aborted = False
    if abort_detached and room.shared.is_long:
        # A holder that is idle for five minutes would be aborted itself.
        is_aborted = _poll_until(
            lambda: bool(holder.run("session")) and not _one_waits(room), ABORT_TIMEOUT
        )
    holder.run("commit")

    def is_done() -> bool:
        return int(room.main.run("read", id=row).rows[0][0]) == 2

    return _poll_until(is_done, 0.0 if is_aborted else room.patience)


def _one_waits(room: Room) -> bool:
    """Whether a statement waits for a lock of the probe."""
    return any(
        lock["status"] == "WAITING" and room.shared.prefix in lock["resource"]
        for lock in room.main.show("show_locks")
    )


def _poll_until(condition: Callable[[], bool], timeout: float) -> bool:
    """Whether the condition became true within ``timeout`` seconds."""
    until = time.monotonic() + timeout
    while not (is_so := condition()) and time.monotonic() < until:
        time.sleep(PAUSE)
    return is_so


PROBES: Final = (
    Probe(
        name="killed in transaction",
        expected="keeps its lock for 5 min",
        why="A transaction in one request cannot be left open by a killed pod.",
        run=idle_transaction,
        lane="locks",
        seconds=14,
        statements=8,
    ),
    Probe(
        name="killed in statement",
        expected="goes on, for 5 min at most if so set",
        why="A killed pod's sync is carried out, and its steps are recovered later.",
        run=waiting_statement,
        lane="locks",
        seconds=16,
        statements=20,
    ),
)
