"""A model of a store, with rows as dicts.

It must not call the core's ``decide``, ``evolve`` or ``is_orphan``, so that it can disagree.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from fleet_q.core.errors import StepConflict, UniqueKeyTaken
from fleet_q.core.lifecycle import STEP_STATUSES
from fleet_q.core.pod import Drain, Join, Leave, PodCommand, SendHeartbeat, Sleep
from fleet_q.core.ports import Backlog, SyncRequest
from fleet_q.core.routing import EVERYWHERE, Routes
from fleet_q.core.step import EXPIRED, Complete, Fail, Outcome, Release, Snooze, Submit

Row = dict[str, Any]

NO_HOLDER: Row = {"claimed_by": None, "incarnation": None, "claim_token": None}


class Refused(Exception):
    """The store has to refuse this, and to change nothing."""


@dataclass
class Limits:
    """The limits of a queue. ``rate``: so many claims in so many microseconds."""

    max_running: int | None
    per_key: int | None
    rate: tuple[int, int] | None
    paused: bool
    at: int
    tokens: Fraction = Fraction(0)

    def __post_init__(self) -> None:
        self.tokens = Fraction(self.rate[0] if self.rate else 0)

    @property
    def hold(self) -> bool:
        return self.paused or any((self.max_running, self.per_key, self.rate))

    def refill(self, now: int, longest_wait: int) -> None:
        """After the clock was set back, the bucket refills from the new time on."""
        self.at = min(self.at, now + longest_wait)
        if self.rate is not None:
            count, period = self.rate
            more = Fraction(max(0, now - self.at) * count, period)
            self.tokens = min(Fraction(count), self.tokens + more)
            self.at = max(self.at, now)


class Model:
    """Rows by id; the key names are those of the core's structs. ``now`` is handed in."""

    def __init__(self, longest_wait: int, *, claims_first: bool = False) -> None:
        """``longest_wait`` is that of the kind of store, in microseconds. ``claims_first``: a sync
        takes in rows of the inbox after its claim, and claims again if it got nothing."""
        self._longest_wait = longest_wait
        self._claims_first = claims_first
        self.steps: dict[str, Row] = {}
        self.pods: dict[str, Row] = {}
        self.limits: dict[str, Limits] = {}
        self.inbox: list[Row] = []
        self.rejected = 0
        self.fallen: dict[str, set[str]] = {}
        """The steps that were cancelled because of parents, with those of their parents that must
        succeed and have not."""

    def insert(self, row: Row) -> Row:
        """Insert a row into the inbox, given by its columns, and return it with its id."""
        row_id = self.inbox[-1]["row_id"] + 1 if self.inbox else 1
        self.inbox.append({"row_id": row_id, **row})
        return self.inbox[-1]

    def _take_in(self, now: int) -> None:
        for row in self.inbox:
            options = {k: v for k, v in row.items() if k not in ("row_id", "payload", "delay")}
            delay = round(row.get("delay", 0) * 1_000_000)
            try:
                if row["payload"][0] != "{":
                    raise Refused
                self.submit([Submit(payload=row["payload"], delay=delay, **options)], now)
            except Refused:
                self._reject(row, now)
        self.inbox.clear()

    def _reject(self, row: Row, now: int) -> None:
        self.rejected += 1
        step_id = f"rejected {self.rejected}"
        payload = json.dumps({"step_inbox": row})
        self.submit([Submit(step_id, payload, max_retries=0)], now)
        owner = _owner_of_key(self.steps, row.get("unique_key"), now)
        existing = self.steps.get(row["step_id"])
        if row["payload"][0] == "{" and existing:
            what = "after" if row["payload"] == existing["payload"] else "payload"
            error = str(StepConflict(row["step_id"], what))
        elif row["payload"][0] == "{" and owner:
            error = str(UniqueKeyTaken(row["unique_key"], owner["step_id"]))
        else:
            error = "payload is not JSON: Expecting value: line 1 column 1 (char 0)"
        self._change(step_id, now, status="failed", error=f"invalid row of STEP_INBOX: {error}")

    def limit(self, queue: str, limits: Limits) -> None:
        """Give a queue these limits. A rate that stays as it is keeps its tokens."""
        before = self.limits.get(queue)
        if before is not None and before.rate == limits.rate:
            limits.tokens, limits.at = before.tokens, before.at
        self.limits[queue] = limits

    def submit(self, batch: Sequence[Submit], now: int) -> list[tuple[str, bool]]:
        """The id of the step that stands for each submission, and whether it is new."""
        _refuse_circles(batch)
        with_keys = {(new.unique_key, new.step_id) for new in batch if new.unique_key is not None}
        step_ids = [new.step_id for new in batch]
        if any(new.unique_key and step_ids.count(new.step_id) > 1 for new in batch):
            raise Refused
        if len({unique_key for unique_key, _ in with_keys}) < len(with_keys):
            raise Refused
        results: list[tuple[str, bool]] = []
        stands_for: dict[str, str] = {}
        rows = {step_id: dict(step) for step_id, step in self.steps.items()}
        for new in batch:
            existing = rows.get(new.step_id)
            if existing and existing["payload"] != new.payload:
                raise Refused
            if existing and new.step_id not in self.steps:
                _refuse_other_parents(existing, new, {})
            owner = None if existing else _owner_of_key(rows, new.unique_key, now)
            results.append((owner["step_id"] if owner else new.step_id, not (existing or owner)))
            stands_for.setdefault(new.step_id, results[-1][0])
            if owner and new.on_conflict == "error":
                raise Refused
            if owner and new.on_conflict == "replace" and owner["status"] == "pending":
                owner |= {
                    "payload": new.payload,
                    "priority": new.priority,
                    "available_ts": now + new.delay if new.delay else 0,
                    "task_type": new.task_type,
                    "labels": new.labels,
                    "checkpoint": None,
                    "start_by_ts": None if new.start_by is None else now + new.start_by,
                    "last_update_ts": now,
                    "version": owner["version"] + 1,
                }
            if not (existing or owner):
                rows[new.step_id] = {
                    "step_id": new.step_id,
                    "status": "waiting" if new.parents else "pending",
                    "priority": new.priority,
                    "payload": new.payload,
                    "retry_count": 0,
                    "max_retries": new.max_retries,
                    "created_ts": now,
                    "last_update_ts": now,
                    "available_ts": now + new.delay if new.delay else 0,
                    "result": None,
                    "error": None,
                    "traceback": None,
                    "version": 1,
                    "queue": new.queue,
                    "task_type": new.task_type,
                    "key": new.key,
                    "unique_key": new.unique_key,
                    "unique_until_ts": None if new.unique_for is None else now + new.unique_for,
                    "labels": new.labels,
                    "timeout": new.timeout,
                    "parents": new.parents,
                    "workflow_id": new.workflow_id,
                    "spawned_by": new.spawned_by,
                    "start_by_ts": None if new.start_by is None else now + new.start_by,
                    "snoozes": 0,
                    "checkpoint": None,
                    "progress": None,
                    **NO_HOLDER,
                }
        for new, (step_id, _) in zip(batch, results, strict=True):
            if step_id in self.steps:
                _refuse_other_parents(self.steps[step_id], new, stands_for)
        for row in rows.values():
            if row["step_id"] not in self.steps and row["parents"]:
                parents = _standing_parents(row["parents"], stands_for)
                if not rows.keys() >= parents.keys():
                    raise Refused
                row["parents"] = json.dumps(parents, separators=(",", ":"))
        self.steps = rows
        self._settle(now)
        return results

    def sync(self, request: SyncRequest, now: int) -> Row:
        """The fields of the result, with steps as ids. Raises :class:`Refused` for an ended
        incarnation."""
        self._apply_pod_command(request, now)
        if request.claim and not self._claims_first:
            self._take_in(now)
        claimed = self._claim(request, now) if request.claim else []
        refused = [o.step_id for o in request.outcomes if not self._outcome(o, now)]
        self._settle(now)
        result = {
            "refused": refused,
            "lost": [step for step, token in request.check_held if not self._held(step, token)],
        }
        if request.claim and self.inbox:
            self._take_in(now)
            if not claimed and not request.outcomes:
                claimed = self._claim(request, now)
        return {**result, "claimed": claimed}

    def save(self, step_id: str, token: str, checkpoint: str, version: int, now: int) -> None:
        """Save a checkpoint on this version of a step, unless the last event did so."""
        step = self.steps.get(step_id)
        if step is None or not self._held(step_id, token):
            raise Refused
        if step["version"] == version:
            self._change(step_id, now, checkpoint=checkpoint)
        elif (step["version"], step["checkpoint"]) != (version + 1, checkpoint):
            raise Refused

    def declare_dead(self, observed: Sequence[Row]) -> list[str]:
        silent = [
            row["pod_id"]
            for row in observed
            if self.pods.get(row["pod_id"]) == row and row["status"] not in ("down", "asleep")
        ]
        for pod_id in silent:
            self.pods[pod_id]["status"] = "down"
            self.pods[pod_id]["version"] += 1
        return silent

    def orphans(self) -> list[str]:
        living = {(p["pod_id"], p["incarnation"]) for p in self.pods.values() if not _is_down(p)}
        return sorted(
            step_id
            for step_id, step in self.steps.items()
            if step["status"] == "claimed"
            and (step["claimed_by"], step["incarnation"]) not in living
        )

    def recover(self, claims: Sequence[tuple[str, str]], now: int) -> list[str]:
        recovered: list[str] = []
        for step_id, token in claims:
            if step_id in self.orphans() and self.steps[step_id]["claim_token"] == token:
                pod_id = self.steps[step_id]["claimed_by"]
                self._fail(step_id, f"pod {pod_id} died while it held the step", None, now)
                recovered.append(step_id)
        self._settle(now)
        return recovered

    def expired(self, now: int) -> list[str]:
        """The steps that wait, have not begun and must not any more."""
        return [
            step_id
            for step_id, step in self.steps.items()
            if step["status"] in ("pending", "waiting")
            and step["start_by_ts"] is not None
            and step["start_by_ts"] < now
            and step["retry_count"] == step["snoozes"] == 0
        ]

    def expire(self, now: int) -> int:
        expired = self.expired(now)
        for step_id in expired:
            self._change(step_id, now, status="cancelled", error=EXPIRED)
        self._settle(now)
        return len(expired)

    def cancel(self, step_id: str, now: int) -> None:
        if step_id not in self.steps or self.steps[step_id]["status"] in ("completed", "failed"):
            raise Refused
        if self.steps[step_id]["status"] != "cancelled":
            self._change(step_id, now, status="cancelled")
        self._settle(now)

    def change_allowed(
        self, change: str, priority: int, step_ids: Sequence[str], now: int
    ) -> list[str]:
        """The ids of the steps that changed."""
        changed: list[str] = []
        if change == "replay":
            over = [i for i in step_ids if self._status(i) in ("failed", "cancelled")]
            while forbidden := [step_id for step_id in over if self._is_lost(step_id, over)]:
                over = [step_id for step_id in over if step_id not in forbidden]
            self._replay(over, now)
            return over
        for step_id in step_ids:
            step = self.steps.get(step_id, {})
            status = step.get("status")
            if change == "cancel" and status in ("pending", "waiting", "claimed"):
                self._change(step_id, now, status="cancelled")
            elif change == "reprioritize" and status == "pending" and step["priority"] != priority:
                self._change(step_id, now, priority=priority)
            else:
                continue
            changed.append(step_id)
        self._settle(now)
        return changed

    def replay(self, step_ids: Sequence[str], now: int) -> None:
        for step_id in step_ids:
            over = self.steps.get(step_id, {}).get("status") in ("failed", "cancelled")
            if not over or step_ids.count(step_id) > 1 or self._is_lost(step_id, step_ids):
                raise Refused
        self._replay(step_ids, now)

    def _replay(self, step_ids: Collection[str], now: int) -> None:
        """Replay these steps, which may be, and bring back what fell with them."""
        change: Row = {"retry_count": 0, "snoozes": 0, "start_by_ts": None, **NO_HOLDER}
        replayed = set(step_ids)
        for step_id in step_ids:
            self.fallen.pop(step_id, None)
        waits = [
            step_id
            for step_id in step_ids
            if any(p in replayed or not self._has_ended(p, k) for p, k in self._parents(step_id))
        ]
        for step_id in step_ids:
            if step_id in waits:
                errors: Row = {"error": None, "traceback": None}
                self._change(step_id, now, status="waiting", **errors, **change)
            else:
                self._change(step_id, now, status="pending", available_ts=0, **change)
        # Those that depend on the replayed ones, directly or not, unless another parent is lost.
        back: set[str] = set()
        while more := {
            step_id
            for step_id, parents in self.fallen.items()
            if parents & (replayed | back) and step_id not in back
        }:
            back |= more
        while stay := {step_id for step_id in back if self._is_lost(step_id, back)}:
            back -= stay
        for step_id in back:
            del self.fallen[step_id]
            self._change(step_id, now, status="waiting", error=None, traceback=None, **change)

    def _settle(self, now: int) -> None:
        """Make steps ready whose parents have ended, and cancel those of lost parents, and so on
        down."""
        for parents in self.fallen.values():
            parents -= {p for p in parents if self._status(p) == "completed"}
        while waiting := [i for i, step in self.steps.items() if step["status"] == "waiting"]:
            changes: dict[str, Row] = {}
            for step_id in waiting:
                lost = [p for p, kind in self._parents(step_id) if self._has_ended(p, kind) is None]
                failed = [p for p in lost if self._status(p) == "failed"]
                if failed:
                    changes[step_id] = {"error": f"parent {min(failed)} failed"}
                elif lost:
                    changes[step_id] = {"error": f"parent {min(lost)} was cancelled"}
                elif all(self._has_ended(p, kind) for p, kind in self._parents(step_id)):
                    changes[step_id] = {}
            if not changes:
                return
            for step_id, change in changes.items():
                if change:
                    self.fallen[step_id] = {
                        p
                        for p, kind in self._parents(step_id)
                        if kind == "success" and self._status(p) != "completed"
                    }
                status = "cancelled" if change else "pending"
                self._change(step_id, now, status=status, **change)

    def _status(self, step_id: str) -> str | None:
        return self.steps[step_id]["status"] if step_id in self.steps else None

    def _parents(self, step_id: str) -> list[tuple[str, str]]:
        return list(json.loads(self.steps[step_id]["parents"] or "{}").items())

    def _has_ended(self, parent_id: str, kind: str) -> bool | None:
        """Whether a parent has ended as its child requires; ``None``: otherwise."""
        status = self._status(parent_id)
        if status in ("failed", "cancelled"):
            return True if kind == "finished" else None
        return status in (None, "completed")

    def _is_lost(self, step_id: str, among: Collection[str]) -> bool:
        """Whether a parent has ended otherwise than the step requires, which is not replayed, or
        comes back, ``among`` these."""
        return any(
            self._has_ended(parent_id, kind) is None and parent_id not in among
            for parent_id, kind in self._parents(step_id)
        )

    def prune(self, before: int, ends: Sequence[str]) -> tuple[int, int]:
        """Returns the numbers of deleted steps and pods."""
        needed = {
            parent_id
            for step_id, step in self.steps.items()
            if step["status"] in ("pending", "waiting", "claimed")
            for parent_id, _ in self._parents(step_id)
        }
        steps = [
            step_id
            for step_id, step in self.steps.items()
            if step["status"] in ends and step["last_update_ts"] <= before and step_id not in needed
        ]
        pods = [
            pod_id
            for pod_id, pod in self.pods.items()
            if pod["status"] in ("down", "asleep") and pod["last_heartbeat_ts"] <= before
        ]
        for step_id in steps:
            del self.steps[step_id]
            self.fallen.pop(step_id, None)
        for parents in self.fallen.values():
            parents.difference_update(steps)
        for pod_id in pods:
            del self.pods[pod_id]
        return len(steps), len(pods)

    def claimable(self, now: int, routes: Routes = EVERYWHERE) -> list[str]:
        queue = [
            step
            for step in self.steps.values()
            if step["status"] == "pending" and self._is_due(step, now) and serves(routes, step)
        ]
        queue.sort(key=lambda step: (-step["priority"], step["created_ts"], step["step_id"]))
        return [step["step_id"] for step in queue]

    def within_limits(
        self, now: int, ended: Collection[tuple[str, str]] = (), routes: Routes = EVERYWHERE
    ) -> list[str]:
        """The claimable steps for which there is room, if the claims ``ended`` take none."""
        held = [
            (step["queue"], step["key"])
            for step in self.steps.values()
            if step["status"] == "claimed" and (step["step_id"], step["claim_token"]) not in ended
        ]
        running = Counter(queue for queue, _ in held)
        of_key = Counter(held)
        within: list[str] = []
        for step_id in self.claimable(now, routes):
            queue, key = self.steps[step_id]["queue"], self.steps[step_id]["key"]
            limits = self.limits.get(queue)
            if limits is not None:
                limits.refill(now, self._longest_wait)
                taken = sum(self.steps[other]["queue"] == queue for other in within)
                if (
                    limits.paused
                    or (limits.max_running is not None and running[queue] >= limits.max_running)
                    or (limits.per_key and key is not None and of_key[queue, key] >= limits.per_key)
                    or (limits.rate is not None and limits.tokens < taken + 1)
                ):
                    continue
            running[queue] += 1
            of_key[queue, key] += 1
            within.append(step_id)
        return within

    def _has_room(self, step: Row, now: int) -> bool:
        """Whether a due step might be claimed if it were the only one that is."""
        others = {
            step_id: other
            for step_id, other in self.steps.items()
            if other["status"] != "pending" or step_id == step["step_id"]
        }
        alone = Model(self._longest_wait)
        alone.steps, alone.limits = others, self.limits
        return bool(alone.within_limits(now))

    def next_token(self, now: int) -> int | None:
        """When some bucket that has no whole token has one, and steps that are due need it."""
        due = {self.steps[step_id]["queue"] for step_id in self.claimable(now)}
        times = [
            limits.at + math.ceil((1 - limits.tokens) * limits.rate[1] / limits.rate[0])
            for queue, limits in self.limits.items()
            if limits.rate and limits.tokens < 1 and not limits.paused and queue in due
        ]
        return min(times, default=None)

    def next_due(self, now: int, routes: Routes = EVERYWHERE) -> int | None:
        pending = (
            step
            for step in self.steps.values()
            if step["status"] == "pending" and serves(routes, step)
        )
        return min((s["available_ts"] for s in pending if s["available_ts"] > now), default=None)

    def backlog(self, now: int) -> Backlog:
        """The backlog; reading it refills no bucket."""
        kept = self.limits
        self.limits = {queue: replace(limits) for queue, limits in kept.items()}
        for queue, limits in self.limits.items():
            limits.tokens = kept[queue].tokens
        try:
            return self._backlog(now)
        finally:
            self.limits = kept

    def _backlog(self, now: int) -> Backlog:
        due = [self.steps[step_id] for step_id in self.claimable(now)]
        waiting = [
            step
            for step in self.steps.values()
            if step["status"] == "pending" and not self._is_due(step, now)
        ]
        with_room = [step for step in due if self._has_room(step, now)]
        paused = {queue for queue, limits in self.limits.items() if limits.paused}
        times = [step["available_ts"] for step in waiting if step["queue"] not in paused]
        next_token = self.next_token(now)
        return Backlog(
            now,
            pending=len(due) + len(waiting) + len(self.inbox),
            claimable=len(self.within_limits(now)) + len(self.inbox),
            claimed=self.counts()["claimed"],
            oldest=min(
                (max(s["created_ts"], s["available_ts"]) for s in with_room),
                default=now if self.inbox else None,
            ),
            next_due=min([*times, *([] if next_token is None else [next_token])], default=None),
        )

    def counts(self) -> dict[str, int]:
        counts = Counter(step["status"] for step in self.steps.values())
        return {status: counts[status] for status in STEP_STATUSES}

    def has_ended(self, pod_id: str, incarnation: str) -> bool:
        pod = self.pods.get(pod_id)
        return pod is not None and (pod["incarnation"] != incarnation or _is_down(pod))

    def _apply_pod_command(self, request: SyncRequest, now: int) -> None:
        command: PodCommand | None = request.pod_command
        pod = self.pods.get(request.pod_id)
        living = pod is not None and not self.has_ended(request.pod_id, request.incarnation)
        if isinstance(command, Join):
            if pod and pod["incarnation"] == request.incarnation and not living:
                raise Refused
            if living and request.claim and pod and pod["status"] == "asleep":
                raise Refused
            if not living:
                self.pods[request.pod_id] = {
                    "pod_id": request.pod_id,
                    "status": "up",
                    "birth_ts": now,
                    "last_heartbeat_ts": now,
                    "incarnation": request.incarnation,
                    "version": pod["version"] + 1 if pod else 1,
                    "description": command.description,
                }
            return
        if isinstance(command, Leave) and pod and pod["incarnation"] == request.incarnation:
            if living:
                pod.update(status="down", version=pod["version"] + 1)
            return
        if (command or request.claim) and not living:
            raise Refused
        status = pod["status"] if pod else "none"
        if command:
            becomes = {Sleep: "asleep", Drain: "draining"}.get(type(command))
            becomes = becomes or ("up" if status == "asleep" else status)
            if (request.claim and becomes == "asleep") or (status, becomes) == (
                "draining",
                "asleep",
            ):
                raise Refused
            if pod and becomes != status:
                pod.update(status=becomes, last_heartbeat_ts=now, version=pod["version"] + 1)
            elif pod and isinstance(command, SendHeartbeat):
                pod.update(last_heartbeat_ts=now)
        elif request.claim and status == "asleep":
            raise Refused

    def _outcome(self, outcome: Outcome, now: int) -> bool:
        """Whether the outcome was accepted."""
        step_id, token = outcome.step_id, outcome.claim_token
        if not self._held(step_id, token):
            step = self.steps.get(step_id, {})
            done = step.get("status") == "completed" and step["claim_token"] == token
            return done and isinstance(outcome, Complete)
        match outcome:
            case Complete():
                change = {"result": outcome.result, "error": None, "traceback": None}
                self._change(step_id, now, status="completed", **change)
            case Release():
                delay = outcome.retry_delay
                available = now + delay if delay else 0
                self._change(step_id, now, status="pending", available_ts=available, **NO_HOLDER)
            case Snooze():
                snoozes = self.steps[step_id]["snoozes"] + 1
                available = now + outcome.retry_delay if outcome.retry_delay else 0
                snoozed = {"available_ts": available, "snoozes": snoozes}
                self._change(step_id, now, status="pending", **snoozed, **NO_HOLDER)
            case Fail(permanent=True):
                change = {"error": outcome.error, "traceback": outcome.traceback}
                self._change(step_id, now, status="failed", **change)
            case Fail():
                self._fail(step_id, outcome.error, outcome.traceback, now)
                if self.steps[step_id]["status"] == "pending":
                    delay = outcome.retry_delay
                    self.steps[step_id]["available_ts"] = now + delay if delay else 0
        return True

    def _fail(self, step_id: str, error: str, traceback: str | None, now: int) -> None:
        self._change(step_id, now, error=error, traceback=traceback)
        step = self.steps[step_id]
        if step["retry_count"] == step["max_retries"]:
            step["status"] = "failed"
        else:
            retries = step["retry_count"] + 1
            step.update(status="pending", retry_count=retries, available_ts=0, **NO_HOLDER)

    def _claim(self, request: SyncRequest, now: int) -> list[str]:
        holder = {
            "claimed_by": request.pod_id,
            "incarnation": request.incarnation,
            "claim_token": request.claim_token,
        }
        claimed_before = [
            step
            for step in self.steps.values()
            if step["status"] == "claimed" and holder.items() <= step.items()
        ]
        if request.is_retry and claimed_before:
            claimed_before.sort(key=lambda s: (-s["priority"], s["created_ts"], s["step_id"]))
            return [step["step_id"] for step in claimed_before]
        ended = {(outcome.step_id, outcome.claim_token) for outcome in request.outcomes}
        within = self.within_limits(now, ended, request.routes)
        first = enumerate(within[: request.claim])
        claimed = [
            step_id
            for n, step_id in first
            if n < request.claim - request.prefetch
            or (self._has_retries(step_id) and not self.holds(step_id))
        ]
        for step_id in claimed:
            if (limits := self.limits.get(self.steps[step_id]["queue"])) is not None:
                limits.tokens -= 1 if limits.rate else 0
                limits.at = now
            self._change(step_id, now, status="claimed", **holder)
        return claimed

    def holds(self, step_id: str) -> bool:
        """Whether the step's queue has limits."""
        limits = self.limits.get(self.steps[step_id]["queue"])
        return limits is not None and limits.hold

    def _has_retries(self, step_id: str) -> bool:
        step = self.steps[step_id]
        return bool(step["retry_count"] < step["max_retries"])

    def _held(self, step_id: str, token: str) -> bool:
        step = self.steps.get(step_id, {})
        return step.get("status") == "claimed" and step["claim_token"] == token

    def _is_due(self, step: Row, now: int) -> bool:
        """Whether ``available_ts`` is reached now or was at the last change, or the clock was set
        back to before the last change of a retry."""
        is_later = step["last_update_ts"] > now + self._longest_wait
        reached = step["available_ts"] <= max(now, step["last_update_ts"])
        return bool(reached or (is_later and step["retry_count"] > 0))

    def _change(self, step_id: str, now: int, **change: Any) -> None:
        step = self.steps[step_id]
        step.update(change, last_update_ts=now, version=step["version"] + 1)


def _owner_of_key(steps: dict[str, Row], unique_key: str | None, now: int) -> Row | None:
    owners = [
        step
        for step in steps.values()
        if unique_key is not None
        and step["unique_key"] == unique_key
        and (
            step["status"] in ("pending", "waiting", "claimed")
            or (step["unique_until_ts"] or 0) > now
        )
    ]
    return min(owners, key=lambda step: (step["created_ts"], step["step_id"]), default=None)


def serves(routes: Routes, step: Row) -> bool:
    """Whether a pod with these routes may take the step."""
    is_of_queue = routes.queues is None or step["queue"] in routes.queues
    return is_of_queue and (routes.task_types is None or step["task_type"] in routes.task_types)


def _refuse_circles(batch: Sequence[Submit]) -> None:
    parents: dict[str, set[str]] = {}
    for new in batch:
        if new.parents:
            parents.setdefault(new.step_id, set(json.loads(new.parents)))
    while parents:
        free = [step_id for step_id in parents if not parents[step_id] & parents.keys()]
        if not free:
            raise Refused
        for step_id in free:
            del parents[step_id]


def _standing_parents(parents: str, stands_for: dict[str, str]) -> dict[str, str]:
    standing: dict[str, str] = {}
    for parent_id, kind in json.loads(parents).items():
        parent_id = stands_for.get(parent_id, parent_id)
        if standing.get(parent_id) != "success":
            standing[parent_id] = kind
    return standing


def _refuse_other_parents(step: Row, new: Submit, stands_for: dict[str, str]) -> None:
    """A submission must have no parents that the step lacks, unless its unique key only finds it;
    and under its id none at all, if it has none."""
    if step["step_id"] == new.step_id:
        if bool(step["parents"]) != bool(new.parents):
            raise Refused
    elif new.on_conflict != "replace" or step["status"] != "pending":
        return
    parents = json.loads(step["parents"] or "{}")
    if not _standing_parents(new.parents or "{}", stands_for).items() <= parents.items():
        raise Refused


def _is_down(pod: Row) -> bool:
    return bool(pod["status"] == "down")
