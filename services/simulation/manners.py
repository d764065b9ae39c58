"""How three kinds of stores behave in time: which statements a call is made of, how long each
takes, and which locks it holds until the commit."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache
from typing import Any, Final, Literal

import msgspec

from fleet_q.core.ports import Turn
from fleet_q.services.simulation.actor import Call

Kind = Literal["standard", "hybrid", "sqlite"]


class Statement(msgspec.Struct, frozen=True):
    """One round trip: ``seconds`` that it takes at the median, once its locks are held."""

    text: str
    seconds: float
    locks: tuple[str, ...] = ()
    commits: bool = False


Script = tuple[Statement, ...]


class Manners(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between the kinds.

    ``rows``: locks are on rows, not on tables or the whole file. ``most_waiters`` for one lock;
    one more fails at once. ``lock_timeout``: seconds after which a waiting statement fails.
    ``idle_abort``: seconds after which a transaction is rolled back whose client says nothing; if
    ``outlives_client``, it keeps its locks as long when the client is gone. ``spread``: of the
    statements' times, as the sigma of a log-normal distribution.
    """

    kind: Kind
    begin: float
    update: float
    insert: float
    select: float
    commit: float
    rows: bool
    most_waiters: int | None
    lock_timeout: float
    idle_abort: float
    outlives_client: bool
    spread: float


STANDARD: Final = Manners(
    kind="standard",
    begin=0.03,
    update=0.25,
    insert=0.15,
    select=0.10,
    commit=0.10,
    rows=False,
    most_waiters=20,
    lock_timeout=60.0,
    idle_abort=300.0,
    outlives_client=True,
    spread=0.4,
)
"""Snowflake's standard tables: a lock on the table for every UPDATE, none for INSERT; at most 20
statements wait for one (error 000625). A transaction whose session is gone is aborted after five
minutes if it blocks another (documentation of transactions, "Aborting transactions"). The times
are those of small statements on a warm X-Small warehouse, to the order of magnitude."""

HYBRID: Final = Manners(
    kind="hybrid",
    begin=0.005,
    update=0.025,
    insert=0.015,
    select=0.015,
    commit=0.015,
    rows=True,
    most_waiters=None,
    lock_timeout=60.0,
    idle_abort=300.0,
    outlives_client=True,
    spread=0.4,
)
"""Snowflake's hybrid tables: locks on rows. Two claims want the same rows, those at the head of
the queue, so one waits for the other; results and heartbeats meet nobody."""

SQLITE: Final = Manners(
    kind="sqlite",
    begin=5e-6,
    update=2e-5,
    insert=1e-5,
    select=1e-5,
    commit=4e-5,
    rows=False,
    most_waiters=None,
    lock_timeout=10.0,
    idle_abort=math.inf,
    outlives_client=False,
    spread=0.4,
)
"""A SQLite file: one writer at a time; who waits longer than the adapter's ``BUSY_TIMEOUT`` fails.
The file's lock goes with its process."""

ALL: Final[dict[str, Manners]] = {each.kind: each for each in (STANDARD, HYBRID, SQLITE)}

_FILE: Final = ("file",)
_STEPS: Final = ("step_tracker",)
_PODS: Final = ("pod_health",)
_HEAD: Final = "the head of the queue"


def script(manners: Manners, call: Call) -> Script:
    """The statements that ``call`` is made of."""
    method = call.method
    if method == "turn":
        turn: Turn = call.args[0]
        touches = bool(turn.outcomes or turn.claim)
        if not manners.rows:
            return _turn(manners, None, None, touches, turn.presence is not None)
        rows = _rows(outcome.step_id for outcome in turn.outcomes)
        if turn.claim:
            rows = (_HEAD, *rows)
        pod = (f"pod {turn.pod_id}",) if turn.presence is not None else ()
        return _turn(manners, rows, pod, touches, turn.presence is not None)
    if method == "submit":
        return _transaction(manners, ("INSERT step_tracker", "INSERT step_events"), (), False)
    if method == "declare_dead":
        return _transaction(manners, ("UPDATE pod_health", "INSERT pod_events"), _PODS, True)
    if method in ("recover", "cancel", "replay"):
        locks = _rows(_ids(call.args[0])) if manners.rows else _STEPS
        return _transaction(manners, ("UPDATE step_tracker", "INSERT step_events"), locks, True)
    return (Statement(f"SELECT {method}", manners.select),)


def _ids(arg: Any) -> Iterable[str]:
    if isinstance(arg, str):
        return (arg,)
    return (each if isinstance(each, str) else each.step_id for each in arg)


def _rows(step_ids: Iterable[str]) -> tuple[str, ...]:
    """Rows are locked in one order, so that two transactions never wait for each other."""
    return tuple(sorted(f"step {step_id}" for step_id in step_ids))


@cache
def _tables(manners: Manners, touches: bool, presence: bool) -> Script:
    found = [Statement("BEGIN", manners.begin, _FILE if manners.kind == "sqlite" else ())]
    locked = manners.kind == "standard"
    if touches:
        found.append(Statement("UPDATE step_tracker", manners.update, _STEPS if locked else ()))
        found.append(Statement("INSERT step_events", manners.insert))
    if presence:
        found.append(Statement("UPDATE pod_health", manners.update, _PODS if locked else ()))
        found.append(Statement("INSERT pod_events", manners.insert))
    found.append(Statement("COMMIT", manners.commit, commits=True))
    if touches or presence:
        found.append(Statement("SELECT what is held", manners.select))
    return tuple(found)


def _turn(
    manners: Manners,
    rows: tuple[str, ...] | None,
    pod: tuple[str, ...] | None,
    touches: bool,
    presence: bool,
) -> Script:
    plain = _tables(manners, touches, presence)
    if not rows and not pod:
        return plain
    locks = {"UPDATE step_tracker": rows or (), "UPDATE pod_health": pod or ()}
    return tuple(
        Statement(each.text, each.seconds, locks.get(each.text, each.locks), each.commits)
        for each in plain
    )


def _transaction(
    manners: Manners, writes: tuple[str, str], locks: tuple[str, ...], answers: bool
) -> Script:
    begin = _FILE if manners.kind == "sqlite" else ()
    first, second = writes
    seconds = manners.update if first.startswith("UPDATE") else manners.insert
    found = [
        Statement("BEGIN", manners.begin, begin),
        Statement(first, seconds, locks if manners.kind != "sqlite" else ()),
        Statement(second, manners.insert),
        Statement("COMMIT", manners.commit, commits=True),
    ]
    if answers:
        found.append(Statement("SELECT what was done", manners.select))
    return tuple(found)
