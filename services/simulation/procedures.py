"""Snowflake's stored procedures as scripts: each call is one request, whose statements run on the
server one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec.structs import replace

from fleet_q.adapters.snowflake.inbox import TRIES
from fleet_q.core.calls import StoreCall
from fleet_q.core.inbox import Intake
from fleet_q.core.intake import IntakePlanner
from fleet_q.core.pod import Join, SendHeartbeat
from fleet_q.core.ports import SyncRequest, SyncResult
from fleet_q.core.spawning import spawning_in, spawns
from fleet_q.core.step import Complete, Step
from fleet_q.services.simulation.mailbox import Posted, Request, joining_pod
from fleet_q.services.simulation.models import Body, Statement, StoreModel

HEAD: Final = "the head of the queue"

LOGS: Final = {"step_tracker": "step_events", "pod_health": "pod_events"}
"""The log of each table, in the order in which ``sql/snowflake/procedures`` lock the tables."""

HYBRID: Final = frozenset(LOGS)
"""The tables that can be hybrid tables; all others are standard tables."""

Change = tuple[str, tuple[str, ...]]
"""A table, and the rows of it that are changed."""


class Procedures:
    """The procedures of ``SnowflakeStore`` on standard or hybrid tables, called by ``actor``.
    ``has_inbox_rows``: whether an answer shows rows of the inbox."""

    def __init__(
        self, model: StoreModel, actor: Any, has_inbox_rows: Callable[[], bool] = lambda: False
    ) -> None:
        self._model = model
        self._actor = actor
        self._has_inbox_rows = has_inbox_rows

    def body(self, call: StoreCall) -> Body:
        """The statements that carry out ``call``."""
        yield Statement(f"CALL {call.method}", self._model.call)
        args = call.args
        match call.method:
            case "sync":
                return (yield from self._claim_again(args[0], (yield from self._sync(args[0]))))
            case "post":
                result = yield from self._post(*args)
                return (yield from self._post_again(result, *args))
            case "poll":
                result = yield from self._poll(*args)
                return (yield from self._take_in_after(args[0], result))
            case "insert":
                return (yield from self._insert_rows(call))
            case "submit":
                return (yield from self._submit(call))
            case "set_queue":
                return (yield from self._set_queue(call))
            case "write_schedule":
                return (yield from self._write_schedule(call))
            case "submit_checked":
                submission, patience = args
                exchange = self._poll if call.kwargs["is_posted"] else self._put
                return (yield from exchange(submission, 1, patience))
            case "declare_dead":
                pod_ids = tuple(pod.pod_id for pod in args[0])
                return (yield from self._write(call, [("pod_health", pod_ids)]))
            case "save_checkpoint":
                return (yield from self._write(call, [("step_tracker", (args[0].step_id,))]))
            case "expire":
                return (yield from self._write(call, [("step_tracker", ())]))
            case "prune":
                return (yield from self._prune(call, ("step_tracker", _ids(args[0]))))
            case "prune_pod":
                return (yield from self._prune(call, ("pod_health", (args[0].pod_id,))))
            case _:
                return (yield from self._write(call, [("step_tracker", _ids(args[0]))]))

    def _sync(self, request: SyncRequest) -> Body:
        """A heartbeat is inserted first, which needs no lock, unless it has to wake the pod.
        A join goes through the mailbox, and serves at once. Completions with children follow in a
        call of their own."""
        if spawning := spawning_in(request.outcomes):
            others = tuple(outcome for outcome in request.outcomes if not spawns(outcome))
            result = yield from self._sync(replace(request, outcomes=others))
            return (yield from self._spawn(request, spawning, result))
        if isinstance(request.pod_command, Join):
            join = replace(request, claim=0, claim_token="", outcomes=())
            joined = yield from self._put(join, 0, 0.0)
            if not request.claim and not request.outcomes:
                return joined
            request = replace(request, pod_command=None)
        if isinstance(request.pod_command, SendHeartbeat):
            was_awake = yield self._insert("pod_heartbeats", StoreCall("heartbeat", (request,)))
            if was_awake:
                request = replace(request, pod_command=None)
        if _only_claims(request):
            nothing_due = yield self._select("claimable", StoreCall("peek", (request,)))
            if nothing_due is not None:
                return nothing_due
        call, changes = StoreCall("sync", (request,)), _changes(request)
        if not changes:
            return (yield from self._result(request))
        return (yield from self._write(call, changes))

    def _spawn(
        self, request: SyncRequest, spawning: Sequence[Complete], result: SyncResult
    ) -> Body:
        """Complete steps, and store their children."""
        yield Statement("CALL spawn", self._model.call)
        yield _then("BEGIN", self._model.begin)
        yield self._update(("step_tracker", tuple(complete.step_id for complete in spawning)))
        yield self._insert("step_tracker")
        yield self._insert("step_events")
        outcomes = SyncRequest(request.pod_id, request.incarnation, outcomes=tuple(spawning))
        spawned = yield _then("COMMIT", self._model.commit, does=StoreCall("sync", (outcomes,)))
        ended = {(complete.step_id, complete.claim_token) for complete in spawning}
        return replace(
            result,
            refused=(*result.refused, *spawned.refused),
            unexpected=tuple(claim for claim in result.unexpected if claim not in ended),
            more=result.more or len(result.claimed) < request.claim,
        )

    def _result(self, request: SyncRequest) -> Body:
        """Read which claims the pod has. The loss of one is confirmed by a read that locks what it
        reads, and so shows whatever was committed (``sql/snowflake/procedures/confirm.sql``)."""
        result = yield self._select("result", StoreCall("result", (request,)))
        if not must_be_confirmed(result):
            return result
        yield Statement("CALL confirm", self._model.call)
        yield _then("BEGIN", self._model.begin)
        held = tuple(step_id for step_id, _ in request.check_held)
        yield self._update(("step_tracker", held))
        yield self._update(("pod_health", (request.pod_id,)))
        return (yield _then("ROLLBACK", self._model.commit, does=StoreCall("sync", (request,))))

    def _claim_again(self, request: SyncRequest, result: SyncResult) -> Body:
        """Take in the rows of the inbox that a claim has seen, and claim once more if it has found
        no step."""
        if not (request.claim and self._has_inbox_rows()):
            return result
        yield from self._take_in(request.pod_id)
        if result.claimed or request.outcomes:
            return _with_more(request, result)
        command = None if result.done else request.pod_command
        claim = replace(request, pod_command=command, check_held=(), is_retry=False)
        after = yield from self._sync(claim)
        more = after.more or self._has_inbox_rows()
        return replace(after, lost=result.lost, done=result.done or after.done, more=more)

    def _post_again(
        self, result: SyncResult | None, request: SyncRequest, number: int, patience: float
    ) -> Body:
        if result is None or not (request.claim and self._has_inbox_rows()):
            return result
        yield from self._take_in(request.pod_id)
        if result.claimed or not _only_claims(request):
            return _with_more(request, result)
        return (yield from self._put(request, number, patience))

    def _take_in_after(self, request: Request, result: Any) -> Body:
        """Take in rows after a poll by which the pod has served."""
        has_served = isinstance(result, SyncResult) and result.served_others is not None
        if not (isinstance(request, SyncRequest) and has_served and request.claim):
            return result
        if not self._has_inbox_rows():
            return result
        yield from self._take_in(request.pod_id)
        return _with_more(request, result)

    def _take_in(self, pod_id: str) -> Body:
        """Read rows of the inbox, plan what becomes of them, and carry the plan out, all of it or
        nothing."""
        rows, at = yield self._select("inbox", StoreCall("inbox"))
        if not rows:
            return None
        planner = IntakePlanner(rows, at, Intake(new_id=self._actor.new_row_id))
        existing: dict[str, Step] = {}
        for _ in range(TRIES):
            plan = planner.plan(existing.values(), self._actor.new_row_id(), pod_id)
            yield Statement("CALL take_in", self._model.call)
            yield _then("BEGIN", self._model.begin)
            yield self._update(("step_inbox", ()))
            if plan.needs_check:
                yield self._update(("step_tracker", tuple(plan.submission.ids)))
            yield self._insert("step_tracker")
            yield self._insert("step_events")
            does = StoreCall("take_in", (plan, at))
            result = yield _then("COMMIT", self._model.commit, does=does)
            if result is None or result.is_stored:  # None: others have taken the rows in
                return None
            existing |= {step.step_id: step for step in result.existing}
        return None

    def _insert_rows(self, call: StoreCall) -> Body:
        yield _then("BEGIN", self._model.begin)
        yield self._insert("step_inbox")
        return (yield _then("COMMIT", self._model.commit, does=call))

    def _post(self, request: SyncRequest, number: int, patience: float) -> Body:
        if _only_claims(request):
            nothing_due = yield self._select("claimable", StoreCall("peek", (request,)))
            if nothing_due is not None:
                return nothing_due
        return (yield from self._put(request, number, patience))

    def _poll(self, request: Request, number: int, patience: float) -> Body:
        look = StoreCall("look", (request, number, patience))
        view = yield self._select("result", look)
        if not view.is_there:
            return (yield from self._put(request, number, patience))
        if view.result is not None or not view.is_oldest:
            return view.result
        return (yield from self._serve(look))

    def _put(self, request: Request, number: int, patience: float) -> Body:
        put = StoreCall("put", (self._actor, request, number))
        yield self._insert("sync_requests", put)
        look = StoreCall("look", (request, number, patience))
        view = yield self._select("position", look)
        return (yield from self._serve(look)) if view.is_oldest else view.result

    def _serve(self, look: StoreCall) -> Body:
        """Serve all requests that wait, in one transaction that begins by marking them."""
        yield _then("BEGIN", self._model.begin)
        mark = self._update(("sync_requests", ()))
        marked: Sequence[Posted] = yield replace(mark, does=StoreCall("mark"), keeps_locks=True)
        yield self._select("marked")
        requests = [row.request for row in marked]
        yield from self._serve_steps(requests)
        yield from self._serve_pods(requests)
        yield _then("COMMIT", self._model.commit, does=StoreCall("serve", (marked,)))
        view = yield self._select("result", look)
        if not isinstance(view.result, SyncResult):
            return view.result
        return replace(view.result, served_others=max(0, len(marked) - 1))

    def _serve_steps(self, requests: Sequence[Request]) -> Body:
        """Change steps by one UPDATE; check the ids of submissions by another, and insert them."""
        changed = _rows_of(requests, "step_tracker")
        submitted = [
            step_id for r in requests if not isinstance(r, SyncRequest) for step_id in r.ids
        ]
        if changed:
            yield self._update(("step_tracker", changed))
        if submitted:
            yield self._update(("step_tracker", tuple(submitted)))
            yield self._insert("step_tracker")
        if changed or submitted:
            yield self._insert("step_events")

    def _serve_pods(self, requests: Sequence[Request]) -> Body:
        changed = _rows_of(requests, "pod_health")
        if changed:
            yield self._update(("pod_health", changed))
            if any(joining_pod(request) is not None for request in requests):
                yield self._insert("pod_health")
            yield self._insert("pod_events")

    def _submit(self, call: StoreCall) -> Body:
        yield _then("BEGIN", self._model.begin)
        yield self._insert("step_tracker")
        yield self._insert("step_events")
        return (yield _then("COMMIT", self._model.commit, does=call))

    def _set_queue(self, call: StoreCall) -> Body:
        yield _then("BEGIN", self._model.begin)
        yield self._update(("fleet_q", ("1",)))
        yield self._update(("queues", ()))
        yield self._insert("queue_events")
        return (yield _then("COMMIT", self._model.commit, does=call))

    def _write_schedule(self, call: StoreCall) -> Body:
        yield _then("BEGIN", self._model.begin)
        yield self._update(("fleet_q", ("1",)))
        yield self._update(("schedules", ()))
        for table in ("schedules", "schedule_events", "step_tracker", "step_events"):
            yield self._insert(table)
        return (yield _then("COMMIT", self._model.commit, does=call))

    def _write(self, call: StoreCall, changes: Sequence[Change]) -> Body:
        """Change rows, append the events, commit, and read the result."""
        yield _then("BEGIN", self._model.begin)
        for change in changes:
            yield self._update(change)
            yield self._insert(LOGS[change[0]])
        answer = yield _then("COMMIT", self._model.commit, does=call)
        yield self._select("result")
        return answer

    def _prune(self, call: StoreCall, change: Change) -> Body:
        yield _then("BEGIN", self._model.begin)
        for table in (change[0], LOGS[change[0]]):
            delete = self._update((table, change[1]))
            yield replace(delete, text=f"DELETE {table}", seconds=self._model.delete)
        return (yield _then("COMMIT", self._model.commit, does=call))

    def _update(self, change: Change) -> Statement:
        """Row locks are sorted, so that two claims never deadlock."""
        model, (table, rows) = self._model, change
        is_hybrid = model.row_locks and table in HYBRID
        locks = tuple(sorted({f"{table} {row}" for row in rows})) if is_hybrid else (table,)
        seconds = model.update if is_hybrid else model.standard_update
        return _then(f"UPDATE {table}", seconds, locks, needs_slot=True)

    def _insert(self, table: str, does: StoreCall | None = None) -> Statement:
        model = self._model
        is_hybrid = model.row_locks and table in HYBRID
        seconds = model.insert if is_hybrid else model.append
        locks = () if is_hybrid else (table,)
        return _then(
            f"INSERT {table}",
            seconds,
            does=does,
            needs_slot=True,
            insert_locks=locks,
        )

    def _select(self, what: str, does: StoreCall | None = None) -> Statement:
        return _then(f"SELECT {what}", self._model.select, does=does, needs_slot=True)


def _then(text: str, seconds: float, locks: tuple[str, ...] = (), **fields: Any) -> Statement:
    """A statement that follows another on the server."""
    return Statement(text, seconds, locks, begins_request=False, **fields)


def _with_more(request: SyncRequest, result: SyncResult) -> SyncResult:
    """The result after rows of the inbox have become steps."""
    return replace(result, more=result.more or len(result.claimed) < request.claim)


def must_be_confirmed(result: SyncResult) -> bool:
    """Whether the pod would be told that it lost claims, which may only not be shown yet."""
    return bool(result.lost)


def _changes(request: SyncRequest) -> list[Change]:
    """The rows that a request locks, in the order of :data:`LOGS`, so that no two transactions wait
    for each other."""
    changes: list[Change] = []
    if request.claim or request.outcomes:
        rows = tuple(outcome.step_id for outcome in request.outcomes)
        changes.append(("step_tracker", (HEAD, *rows) if request.claim else rows))
    if request.pod_command is not None:
        changes.append(("pod_health", (request.pod_id,)))
    return changes


def _rows_of(requests: Sequence[Request], table: str) -> tuple[str, ...]:
    """The rows of a table that these requests lock."""
    syncs = [request for request in requests if isinstance(request, SyncRequest)]
    return tuple(row for r in syncs for name, rows in _changes(r) if name == table for row in rows)


def _only_claims(request: SyncRequest) -> bool:
    """Whether there is nothing to write if no step is due."""
    is_claim = request.claim > 0 and not request.outcomes and not request.is_retry
    return is_claim and (request.pod_command is None or request.only_if_claimable)


def _ids(arg: Any) -> tuple[str, ...]:
    if isinstance(arg, str):
        return (arg,)
    return tuple(item if isinstance(item, str) else item.step_id for item in arg)
