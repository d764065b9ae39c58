"""A pod's sync: one call of the procedure ``sync``, which locks the tables for as long as the
server needs, and for no round trip of the client."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any

from msgspec.structs import asdict, replace

from fleet_q.adapters import rows
from fleet_q.adapters.snowflake.batches import batches, outcomes_json
from fleet_q.adapters.snowflake.calls import Calls
from fleet_q.adapters.snowflake.migrate import check_version
from fleet_q.adapters.snowflake.session import new_change_id
from fleet_q.adapters.snowflake.spawn import Spawning
from fleet_q.adapters.snowflake.sync_snapshot import SyncSnapshot, allowed_statuses
from fleet_q.core import pod as pods
from fleet_q.core import step as steps
from fleet_q.core.errors import StoreContended, StoreUnavailable
from fleet_q.core.lifecycle import PodStatus
from fleet_q.core.pod import Join, Pod, PodCommand, SendHeartbeat
from fleet_q.core.ports import SyncRequest, SyncResult
from fleet_q.core.routing import Routes
from fleet_q.core.spawning import spawning_in, spawns
from fleet_q.core.step import Complete


class Sync:
    """Carries out sync requests. Each is tried once, as pods have their own backoff."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self.may_be_limited = False
        """Whether a queue has, or had, limits, as far as the last answer says. If it does not, a
        claim takes nothing from queues with limits."""
        self.has_inbox_rows = False
        """Whether the inbox had rows, as the last answer says."""
        self.may_be_unsettled = True
        """Whether a leader has to look for unsettled steps: at an answer since it found none, steps
        waited for others. What these have left unsettled may not wait itself."""
        self._has_waiting = True  # as the last answer says
        self._session = calls.session
        self._spawning = Spawning(calls)

    def sync(self, request: SyncRequest) -> SyncResult:
        """See :meth:`fleet_q.core.ports.Store.sync`. Raises :class:`StoreError` if the tables have
        been migrated."""
        if spawning := spawning_in(request.outcomes):
            return self._sync_with_children(request, spawning)
        outcome_batches = list(batches(request.outcomes))
        if len(outcome_batches) > 1:
            return self._sync_batches(request, outcome_batches)
        values = _values(request)
        answer = self._session.call("sync", **values, may_be_limited=self.may_be_limited)
        snapshot = self.snapshot(answer)
        check_version(snapshot.schema_version)
        if snapshot.changed and not snapshot.shows_steps_of(request):
            raise StoreUnavailable("Snowflake: a transaction was rolled back before its commit")
        self.check(snapshot, request)
        done = bool(snapshot.changed) or request.is_retry or not request.only_if_claimable
        return replace(self.result(snapshot, request), done=done)

    def snapshot(self, answer: Sequence[Sequence[Any]]) -> SyncSnapshot:
        """The snapshot in the answer of a procedure."""
        snapshot = SyncSnapshot(answer, had_waiting=self._has_waiting)
        self.may_be_limited = bool(snapshot.has_limits)
        self.has_inbox_rows = bool(snapshot.has_inbox_rows)
        self._has_waiting = bool(snapshot.has_waiting)
        self.may_be_unsettled |= self._has_waiting
        return snapshot

    def on_settled(self) -> None:
        """A leader has found no unsettled step."""
        self.may_be_unsettled = self._has_waiting

    def check(self, snapshot: SyncSnapshot, request: SyncRequest) -> None:
        """Raise the error of ``decide`` if the request was rejected. A rejection, and the loss of a
        claim, is confirmed by reads that show whatever was committed."""
        if snapshot.must_be_confirmed(request):
            snapshot.confirm(self._session.call("confirm", pod_id=request.pod_id))
        snapshot.check(request)

    def result(self, snapshot: SyncSnapshot, request: SyncRequest) -> SyncResult:
        """The result of a request that was carried out."""
        result = snapshot.result(request)
        already_completed = self._already_completed(request, result)
        refused = tuple(i for i in result.refused if i not in already_completed)
        return replace(result, refused=refused)

    def _already_completed(self, request: SyncRequest, result: SyncResult) -> set[str]:
        """The ids of steps whose success was rejected because it had been recorded before."""
        rejected = set(result.refused)
        successes = [
            o for o in request.outcomes if isinstance(o, Complete) and o.step_id in rejected
        ]
        current = self._calls.steps([success.step_id for success in successes]) if successes else {}
        return {
            success.step_id
            for success in successes
            if (step := current.get(success.step_id)) is not None
            and step.is_completed_under(success.claim_token)
        }

    def _sync_with_children(self, request: SyncRequest, spawning: Sequence[Complete]) -> SyncResult:
        """Sync without the completions that have children, which follow in calls of their own, if
        the pod was not rejected."""
        others = tuple(outcome for outcome in request.outcomes if not spawns(outcome))
        result = self.sync(replace(request, outcomes=others))
        refused = [*result.refused, *self._spawned(request, spawning)]
        ended = {(complete.step_id, complete.claim_token) for complete in spawning}
        return replace(
            result,
            refused=tuple(refused),
            unexpected=tuple(claim for claim in result.unexpected if claim not in ended),
            more=result.more or len(result.claimed) < request.claim,
            ready=not request.claim,
        )

    def _spawned(self, request: SyncRequest, spawning: Sequence[Complete]) -> list[str]:
        """Record completions that have children; returns the ids of those that are refused."""
        try:
            spawned = self._spawning.spawn(spawning, request.pod_id)
        except StoreContended as error:  # see _go_on
            raise StoreUnavailable(str(error)) from error
        if not spawned.failed:
            return spawned.refused
        failed = SyncRequest(request.pod_id, request.incarnation, outcomes=tuple(spawned.failed))
        return [*spawned.refused, *self._go_on(failed).refused]

    def _sync_batches(self, request: SyncRequest, batches: Sequence[Sequence[Any]]) -> SyncResult:
        """Sync with results that are too large for one statement: one sync for each batch of
        outcomes, of which the last has the rest of the request."""
        refused: list[str] = []
        for number, outcomes in enumerate(batches[:-1]):
            part = SyncRequest(
                request.pod_id,
                request.incarnation,
                outcomes=tuple(outcomes),
                is_retry=request.is_retry,
            )
            refused += (self._go_on(part) if number else self.sync(part)).refused
        last = self._go_on(replace(request, outcomes=tuple(batches[-1])))
        return replace(last, refused=(*refused, *last.refused))

    def _go_on(self, request: SyncRequest) -> SyncResult:
        """Sync after a part is done. Contention is then a lack of an answer: the pod repeats all of
        its request."""
        try:
            return self.sync(request)
        except StoreContended as error:
            raise StoreUnavailable(str(error)) from error


def _values(request: SyncRequest) -> dict[str, Any]:
    """The arguments of the procedure ``sync``."""
    statuses = allowed_statuses(request)
    return {
        "pod_id": request.pod_id,
        "incarnation": request.incarnation,
        "sends_heartbeat": (
            isinstance(request.pod_command, SendHeartbeat) and not request.only_if_claimable
        ),
        "progress": rows.encode(request.progress),
        "transitions": transitions_json(request.pod_command, statuses),
        "allowed_statuses": rows.encode(statuses),
        "skip_pod_check": request.pod_command is None and not request.claim,
        "requests": f"[{claim_json(request)}]",
        "routes": routes_json(request.routes),
        "outcomes": outcomes_json(request.outcomes, request.pod_id),
        "outcome_count": len(request.outcomes),
        "claim": request.claim,
        "most_bytes": steps.MAX_CLAIM_SIZE,
        "claim_token": request.claim_token,
        "only_if_claimable": request.only_if_claimable,
        "is_retry": request.is_retry,
        "change_id": new_change_id(),
    }


def claim_json(request: SyncRequest) -> str:
    """The claim of a request as ``sync.sql`` takes it."""
    return rows.encode(
        {
            "pod_id": request.pod_id,
            "incarnation": request.incarnation,
            "claim": request.claim,
            "free": request.free,
            "slots": request.slots,
            "claim_token": request.claim_token,
            "statuses": f" {' '.join(allowed_statuses(request))} ",
        }
    )


@lru_cache(16)
def routes_json(routes: Routes) -> str:
    """Routes as statements take them; without what is ``None``."""
    return rows.encode({name: v for name, v in asdict(routes).items() if v is not None})


def request_json(request: SyncRequest) -> str:
    """What a request asks for when it waits in the mailbox, as JSON objects that commas separate:
    its claim, and a row of ``pod_commands.sql`` for each status that its command changes. A pod
    that is to wake only if it gets a step needs one under its claim token. A join, which claims
    nothing, tells what the pod tells about itself."""
    command, is_wake = request.pod_command, request.only_if_claimable
    if isinstance(command, Join):
        told = command.description
        return rows.encode({} if told is None else {"description": told})
    texts = [claim_json(request)]
    if command is None:
        return texts[0]
    if isinstance(command, SendHeartbeat) and not is_wake:
        return texts[0]
    for was, becomes, kind, is_sign_of_life in _transitions(command, allowed_statuses(request)):
        if kind:
            row = {
                "pod_id": request.pod_id,
                "incarnation": request.incarnation,
                "was": was,
                "becomes": becomes,
                "type": kind,
                "is_sign_of_life": is_sign_of_life,
                "needs": request.claim_token if is_wake and not request.is_retry else "",
            }
            texts.append(rows.encode(row))
    return ",".join(texts)


def transitions_json(pod_command: PodCommand | None, statuses: Collection[PodStatus]) -> str | None:
    """The ``:transitions`` of ``pod_command.sql``; ``None`` without a command."""
    return None if pod_command is None else rows.encode(_transitions(pod_command, statuses))


def _transitions(
    pod_command: PodCommand, statuses: Collection[PodStatus]
) -> list[tuple[str, str, str, bool]]:
    """For each of the statuses in which the command changes a pod: that status, the status after
    it, the type of its event, and whether it is a sign of life."""
    transitions: list[tuple[str, str, str, bool]] = []
    for status in statuses:
        pod = Pod(pod_command.pod_id, status, 0, 0, pod_command.incarnation)
        change = pods.change(pod, pod_command, at=1)
        if change is not None:
            event, after = change
            kind = event.fact.type if event is not None else ""
            transitions.append((status, after.status, kind, after.last_heartbeat_ts == 1))
    return transitions
