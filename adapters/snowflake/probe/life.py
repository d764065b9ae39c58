"""A small life of steps and pods through the store: every method, and the types that it returns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any, Final, TypeVar

import msgspec

from fleet_q.adapters.snowflake.probe.client import on_server
from fleet_q.adapters.snowflake.probe.result import Found, differs, fail, not_tried, ok
from fleet_q.adapters.snowflake.probe.room import Probe, Room
from fleet_q.core.events import Event
from fleet_q.core.lifecycle import FINAL
from fleet_q.core.pod import Join, SendHeartbeat
from fleet_q.core.ports import CombiningStore, SyncRequest, SyncResult
from fleet_q.core.step import Complete, Fail, Outcome, Recover, Submit

T = TypeVar("T")

FAR: Final = 2**52
"""Microseconds since 1970: in the year 2112."""

SLOW_SYNC: Final = 3.0
SLOWEST_SYNC: Final = 10.0
"""Seconds for a sync at the client: slow, and as long as the interval of heartbeats, so that the
pod would be declared dead under load."""

SYNCS: Final = 3

MAILBOX_PATIENCE: Final = 60.0
"""Seconds; nothing else waits in the mailbox, so requests are served at once."""

_LEAVES: Final = {str, int, bool, type(None), msgspec.Raw}
"""The types of all values in steps, pods and events."""


class Unexpected(Exception):
    """The store returned something else than expected."""


class Life:
    """Submits, claims, completes, retries, cancels, replays, recovers and prunes steps of two pods.
    ``calls`` receives how long each method took, in seconds."""

    def __init__(self, store: CombiningStore, calls: dict[str, float]) -> None:
        self._store = store
        self._calls = calls

    def run(self) -> None:
        """Raises :class:`Unexpected`, or what the store raises."""
        self._submit()
        self._complete_and_retry()
        self._cancel_and_replay()
        self._recover()
        self._read()
        self._prune()
        with self._timed("rebuild --check"):
            report = self._store.rebuild(check=True)
        _expect(report.equal, f"the tables differ from the log: {report}")

    def sync(self, number: int) -> float:
        """Seconds of a sync that completes one step and claims another, with a heartbeat."""
        store, step_id = self._store, f"sync {number}"
        store.submit([Submit(step_id, "{}")])
        outcomes = [Complete(f"sync {number - 1}", f"token {number - 1}", "1")] if number else []
        began = time.monotonic()
        result = store.sync(
            SyncRequest(
                "one",
                "first",
                SendHeartbeat("one", "first"),
                outcomes=tuple(outcomes),
                claim=1,
                claim_token=f"token {number}",
            )
        )
        seconds = time.monotonic() - began
        _expect([s.step_id for s in result.claimed] == [step_id], "a step was not claimed")
        return seconds

    def _submit(self) -> None:
        with self._timed("join"):
            self._sync(SyncRequest("one", "first", Join("one", "first")))
        with self._timed("submit"):
            stored = self._store.submit([Submit(name, '{"n": 1}') for name in ("a", "b", "c")])
        _expect([r.is_new for r in stored] == [True] * 3, f"submit returned {stored}")
        again = self._store.submit([Submit("a", '{"n": 1}'), Submit("d", "{}", unique=True)])
        are_new = [result.is_new for result in again]
        _expect(are_new == [False, True], f"submit of a step that exists returned {again}")

    def _complete_and_retry(self) -> None:
        _expect(self._claim(2, "t1") == ["a", "b"], "the first claim took other steps")
        self._finish(Complete("a", "t1", '"done"'), Fail("b", "t1", "Boom", "trace"))
        late = self._sync(SyncRequest("one", "first", outcomes=(Complete("b", "t1", "1"),)))
        _expect(late.refused == ("b",), f"a late result was not refused: {late}")
        self._use_mailbox()

    def _use_mailbox(self) -> None:
        heartbeat = SendHeartbeat("one", "first")
        request = SyncRequest("one", "first", heartbeat, claim=9, claim_token="t2")
        with self._timed("claim by mailbox"):
            result = self._store.post(request, 1, MAILBOX_PATIENCE)
        claimed = [step.step_id for step in _typed(result).claimed] if result is not None else []
        _expect(claimed == ["b", "c", "d"], f"a posted request claimed {claimed}")
        outcomes = (Complete("b", "t2", "1"), Fail("c", "t2", "Boom", permanent=True))
        request = SyncRequest("one", "first", outcomes=outcomes)
        with self._timed("outcomes by mailbox"):
            result = self._store.post(request, 2, MAILBOX_PATIENCE)
        _expect(result is not None and not result.refused, f"posted outcomes: {result}")
        with self._timed("poll of the mailbox"):
            again = self._store.poll(request, 2, MAILBOX_PATIENCE)
        _expect(again is not None and not again.refused, f"a request that was served: {again}")

    def _cancel_and_replay(self) -> None:
        with self._timed("cancel"):
            cancelled = self._store.cancel("d")
        _expect(_typed(cancelled).status == "cancelled", "a step was not cancelled")
        with self._timed("replay"):
            (replayed,) = self._store.replay(["c"])
        _expect(_typed(replayed).status == "pending", "a step was not replayed")

    def _recover(self) -> None:
        self._sync(SyncRequest("two", "first", Join("two", "first")))
        _expect(self._claim(1, "t3", "two") == ["c"], "the second pod did not claim")
        pods = {pod.pod_id: pod for pod in self._store.pods().pods}
        with self._timed("declare dead"):
            dead = self._store.declare_dead([pods["two"]], "one")
        _expect([_typed(pod).status for pod in dead] == ["down"], "a pod was not declared dead")
        with self._timed("fold heartbeats"):
            self._store.fold_heartbeats()
        with self._timed("orphans"):
            orphans = self._store.orphans("", 10)
        _expect([_typed(orphan).step_id for orphan in orphans] == ["c"], f"orphans: {orphans}")
        with self._timed("recover"):
            recovered = self._store.recover([Recover("c", "t3")], "one")
        _expect([_typed(s).retry_count for s in recovered] == [1], "a step was not recovered")
        _expect(self._claim(1, "t4") == ["c"], "a recovered step was not claimed")
        self._finish(Fail("c", "t4", "Boom", permanent=True))

    def _read(self) -> None:
        store = self._store
        with self._timed("counts"):
            counts = store.counts()
        _expect((counts["completed"], counts["failed"], counts["cancelled"]) == (2, 1, 1), "counts")
        page = store.dead_letters(10)
        _expect([_typed(step).step_id for step in page.steps] == ["c"], "dead letters")
        step = store.step("a")
        _expect(step is not None and _typed(step).result == '"done"', f"a step: {step}")
        _expect(len(_all_typed(store.history("c"))) == 8, "the history of a step")
        _expect(len(_all_typed(store.events_of_steps(["a", "b"]))) == 8, "events of steps")
        _expect(len(_all_typed(store.pod_history("two"))) == 2, "the history of a pod")
        _expect(len(_all_typed(store.step_events())) >= 16, "all events")
        with self._timed("change counter"):
            _expect(store.change_counter() > 0, "the change counter")

    def _prune(self) -> None:
        store = self._store
        steps = store.final_steps(list(FINAL), FAR, 10).steps
        _expect([_typed(step).step_id for step in steps] == ["a", "b", "c", "d"], "final steps")
        before = store.change_counter()
        with self._timed("prune"):
            pruned = store.prune(steps[:1], FAR)
        _expect((pruned.streams, pruned.events) == (1, 3), f"pruned: {pruned}")
        _expect(store.change_counter() >= before, "pruning set the change counter back")
        pods = {pod.pod_id: pod for pod in store.pods().pods}
        _expect(store.prune_pod(_typed(pods["two"])).streams == 1, "a pod was not pruned")

    def _claim(self, limit: int, token: str, pod_id: str = "one") -> list[str]:
        request = SyncRequest(
            pod_id, "first", SendHeartbeat(pod_id, "first"), claim=limit, claim_token=token
        )
        with self._timed("claim"):
            return [step.step_id for step in self._sync(request).claimed]

    def _finish(self, *outcomes: Outcome) -> None:
        with self._timed("outcomes"):
            result = self._sync(SyncRequest("one", "first", outcomes=outcomes))
        _expect(not result.refused, f"outcomes were refused: {result.refused}")

    def _sync(self, request: SyncRequest) -> SyncResult:
        return _typed(self._store.sync(request))

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._calls[name] = time.monotonic() - began


def _expect(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise Unexpected(otherwise)


def _typed(value: T) -> T:
    """The value, if all its fields have the types that its struct declares: the driver chooses in
    which types it returns numbers, texts and times. Raises :class:`Unexpected`."""
    _check_leaves(value, type(value).__name__)
    if not isinstance(value, Event):
        try:
            msgspec.convert(msgspec.to_builtins(value), type(value))
        except msgspec.ValidationError as error:
            raise Unexpected(f"{type(value).__name__}: {error}") from None
    return value


def _check_leaves(value: Any, where: str) -> None:
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            _check_leaves(getattr(value, name), f"{where}.{name}")
    elif isinstance(value, tuple):
        for item in value:
            _check_leaves(item, where)
    elif type(value) not in _LEAVES:
        raise Unexpected(f"{where} is {value!r}, a {type(value).__name__}")


def _all_typed(values: Iterable[Any]) -> list[Any]:
    return [_typed(value) for value in values]


def live(room: Room) -> Found:
    """Run the life in the probe's own store."""
    return _checked(lambda: Life(room.store, room.shared.calls).run(), "every method works")


def sync(room: Room) -> Found:
    """Run some syncs, and take the median."""
    life = Life(room.store, {})
    seconds = median([life.sync(number) for number in range(SYNCS)])
    room.shared.calls["sync"] = seconds
    text = f"{seconds:.2f} s at the client"
    if seconds > SLOWEST_SYNC:
        return fail(text)
    return differs(text) if seconds > SLOW_SYNC else ok(text)


def procedures(room: Room) -> Found:
    """Look up how long the calls of the probes before this one took on the server."""
    session = room.store.session
    history = [(row[4], on_server(row)) for row in session.execute(room.scratch.text("history"))]
    for name, procedure in session.statements.procedures.items():
        seconds = [on.seconds for text, on in history if text == procedure.call]
        if seconds:  # one call of each is that of its creation, which does nothing
            is_common = len(seconds) >= SYNCS
            room.shared.procedures[name] = median(seconds) if is_common else max(seconds)
    durations = room.shared.procedures
    if len(durations) < len(session.statements.procedures):
        return not_tried("the history of queries does not show the calls")
    slowest, duration = max(durations.items(), key=lambda item: item[1])
    text = f"{duration:.2f} s at most ({slowest})"
    return ok(text) if duration <= SLOW_SYNC else differs(text)


def _checked(work: Callable[[], None], done: str) -> Found:
    try:
        work()
    except Unexpected as error:
        return fail(str(error))
    return ok(done)


PROBES: Final = (
    Probe(
        name="life of steps",
        expected="every method works",
        why="Every statement and procedure runs, and returns the types that FLEET-Q expects.",
        run=live,
        lane="store",
        seconds=40,
        statements=45,
        is_essential=True,
    ),
    Probe(
        name="sync",
        expected=f"less than {SLOW_SYNC:g} s",
        why="Heartbeats are part of syncs, and syncs of one fleet wait for each other.",
        run=sync,
        lane="store",
        seconds=8,
        statements=12,
        is_essential=True,
    ),
    Probe(
        name="procedures",
        expected=f"less than {SLOW_SYNC:g} s on the server",
        why="They hold the lock for which all other syncs wait.",
        run=procedures,
        lane="store",
        seconds=3,
        statements=1,
    ),
)
