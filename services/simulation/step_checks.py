"""Checks of every change of a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from fleet_q.core import events as ev
from fleet_q.core.calls import StoreCall
from fleet_q.core.events import StepEvent
from fleet_q.core.retry import micros
from fleet_q.core.step import EXPIRED, Step
from fleet_q.services.simulation.actor import Actor
from fleet_q.services.simulation.dependency_checks import DependencyChecks
from fleet_q.services.simulation.payloads import row_in, work_of
from fleet_q.services.simulation.queue_checks import QueueChecks
from fleet_q.services.simulation.records import HeldClaim, Records, StepRecord, require
from fleet_q.services.simulation.saving import number_in
from fleet_q.services.simulation.scenario import Work
from fleet_q.services.simulation.unique_key_checks import UniqueKeyChecks
from fleet_q.services.simulation.violation import Violation

FAIL_AT_ONCE: Final = ("fails for good", "returns too much")
"""Behaviours whose steps fail although they have tries left."""


class StepChecks:
    """Checks versions, claims, tries and final statuses. ``began(actor, held, step_id)``: whether
    the step's function began under a claim whose process has died; ``None`` if the actor cannot
    know. ``may_take(actor, record)``: whether the actor may claim the step. ``queues`` is told of
    claims and their ends, ``unique_keys`` of submissions, ``dependencies`` of waits.
    ``max_snoozes``: how often functions may put their steps off."""

    def __init__(
        self,
        records: Records,
        work: Mapping[str, Work],
        began: Callable[[Actor, HeldClaim, str], bool | None],
        may_take: Callable[[Actor, StepRecord], bool],
        queues: QueueChecks,
        unique_keys: UniqueKeyChecks,
        dependencies: DependencyChecks,
        max_snoozes: float,
    ) -> None:
        self._max_snoozes = max_snoozes
        self._records = records
        self._queues = queues
        self._unique_keys = unique_keys
        self._dependencies = dependencies
        self._work = work
        self._began = began
        self._may_take = may_take

    def changed(self, event: StepEvent, step: Step, call: StoreCall, actor: Actor) -> StepRecord:
        """Check an event and the resulting row. Raises :class:`Violation`."""
        step_id, fact = event.stream, event.fact
        record = self._records.steps.get(step_id)
        if record is not None and record.pruned:  # so its id may be used again
            self._records.queue.forget(step_id)
            record = None
        if isinstance(fact, ev.Submitted):
            require(record is None, "versions", step_id, "was submitted twice")
            record = self._submitted(event, fact)
            self._unique_keys.submitted(step_id, record)
            self._dependencies.submitted(step_id, record, fact, self._work.get(step_id))
            self._records.steps[step_id] = record
            self._records.unfinished += 1
        elif record is None:
            raise Violation("versions", step_id, "has an event before its submission")
        require(
            event.version == record.version + 1,
            "versions",
            step_id,
            "has version {} after {}",
            event.version,
            record.version,
        )
        clock_was_set = record.changed <= self._records.clock_set_at
        require(
            clock_was_set or event.at + self._records.early_by >= record.at,
            "order",
            step_id,
            "has an event older than the previous one",
        )
        if isinstance(fact, ev.Claimed):
            may_be_early = clock_was_set or self._records.early_by > 0
            is_due = event.at >= record.available or (may_be_early and record.tries > 0)
            require(is_due, "delays", step_id, "was claimed before it was due")
            is_late = _is_late(record, event.at)
            require(not is_late, "deadlines", step_id, "was claimed after it had expired")
        record.version, record.at, record.changed = event.version, event.at, self._records.now()
        match fact:
            case ev.Claimed():
                self._claimed(record, event, fact, actor)
            case (
                ev.Completed()
                | ev.Retried()
                | ev.Released()
                | ev.Snoozed()
                | ev.Recovered()
                | ev.Failed()
            ):
                self._ended_claim(record, event, fact, call, actor)
            case ev.Cancelled():
                require(
                    record.status in ("pending", "waiting", "claimed"),
                    "one final status",
                    step_id,
                    "was cancelled when it was {}",
                    record.status,
                )
                if fact.error is not None and fact.error.startswith("parent "):
                    self._dependencies.fell(step_id, record, fact.error)
                elif fact.error is not None:
                    is_late = fact.error == EXPIRED and _is_late(record, event.at)
                    require(is_late, "deadlines", step_id, "expired before its time")
                self._end(record, "cancelled")
            case ev.Ready():
                require(
                    record.status == "waiting",
                    "parents first",
                    step_id,
                    "was ready when it was {}",
                    record.status,
                )
                self._dependencies.began(step_id, "ready")
                record.status = "pending"
            case ev.ParentsAdded():
                require(
                    record.status == "waiting",
                    "parents first",
                    step_id,
                    "got parents when it was {}",
                    record.status,
                )
                self._dependencies.added(step_id, record, fact)
            case ev.Replayed() | ev.Restored():
                require(
                    record.status in ("failed", "cancelled"),
                    "one final status",
                    step_id,
                    "was replayed when it was {}",
                    record.status,
                )
                record.tries = record.crashes = record.snoozes = 0
                record.start_by = None
                if isinstance(fact, ev.Replayed):
                    self._dependencies.began(step_id, "replayed")
                    record.available = 0
                record.status = "pending" if isinstance(fact, ev.Replayed) else "waiting"
                self._records.unfinished += 1
            case ev.Replaced():
                self._unique_keys.replaced(step_id, record, event, fact)
                record.checkpoint = record.acknowledged = 0
                record.start_by = fact.start_by_ts
            case ev.Reprioritized():
                require(
                    record.status == "pending",
                    "priority",
                    step_id,
                    "was given another priority when it was {}",
                    record.status,
                )
                record.priority = fact.priority
            case ev.Checkpointed():
                self._saved(record, step_id, fact)
            case ev.Rejected():
                is_letter = step_id not in self._work and record.version == 2
                require(is_letter, "inbox", step_id, "was rejected and is no row of the inbox")
                self._end(record, "failed")
        self._check_row(record, step)
        return record

    def _submitted(self, event: StepEvent, fact: ev.Submitted) -> StepRecord:
        """The record of a new step, or of a dead letter that holds a row of the inbox."""
        step_id = event.stream
        record = StepRecord(fact.priority, fact.max_retries, event.at, available=0)
        if step_id not in self._work:
            require(row_in(fact.payload) is not None, "inbox", step_id, "was submitted by nobody")
            return record
        work, content = self._work[step_id], work_of(fact.payload, self._work, step_id)
        record.available = fact.available_ts if content.delay else 0
        record.task_type = content.task_type
        record.start_by = fact.start_by_ts
        record.queue, record.key, record.unique_key = work.queue, work.key, work.unique_key
        if work.unique_for is not None:
            record.unique_until = event.at + micros(work.unique_for)
        return record

    def _claimed(
        self, record: StepRecord, event: StepEvent, fact: ev.Claimed, actor: Actor
    ) -> None:
        step_id, token = event.stream, fact.claim_token
        require(
            record.status == "pending",
            "one holder",
            step_id,
            "was claimed when it was {}",
            record.status,
        )
        require(record.held is None, "one holder", step_id, "is held under two tokens")
        require(
            event.pod_id == actor.name,
            "one holder",
            step_id,
            "was claimed in the name of another pod",
        )
        pod = self._records.pods.get(actor.name)
        require(
            pod is not None
            and pod.status in ("up", "draining")
            and pod.incarnation == fact.incarnation,
            "ended incarnations stay ended",
            step_id,
            "was claimed by an incarnation that is not live",
        )
        require(
            self._may_take(actor, record),
            "routes",
            step_id,
            "was claimed by {}, which does not take steps of queue {!r} and type {!r}",
            actor.name,
            record.queue,
            record.task_type,
        )
        record.status = "claimed"
        record.held = HeldClaim(token, actor.name, fact.incarnation)
        self._records.holding[fact.incarnation] += 1
        self._queues.count(record, 1)

    def _saved(self, record: StepRecord, step_id: str, fact: ev.Checkpointed) -> None:
        held, number = record.held, int(str(fact.checkpoint, "utf-8"))
        if held is None or held.token != fact.claim_token:
            raise Violation("tokens", step_id, "was saved without the token of its claim")
        require(
            number > record.checkpoint,
            "checkpoints",
            step_id,
            "has checkpoint {} after {}",
            number,
            record.checkpoint,
        )
        record.checkpoint = number

    def _ended_claim(
        self,
        record: StepRecord,
        event: StepEvent,
        fact: ev.Completed | ev.Retried | ev.Released | ev.Snoozed | ev.Recovered | ev.Failed,
        call: StoreCall,
        actor: Actor,
    ) -> None:
        step_id, held = event.stream, record.held
        require(
            not record.completed, "completed once", step_id, "{} after its completion", fact.type
        )
        if held is None or held.token != fact.claim_token:
            raise Violation("tokens", step_id, f"was {fact.type} without the token of its claim")
        if call.method == "recover":
            require(
                self._records.has_ended(held),
                "recovery",
                step_id,
                "was recovered from a live incarnation",
            )
            began = self._began(actor, held, step_id)
            if isinstance(fact, ev.Failed):
                require(began is not False, "begun", step_id, "failed for good and never began")
            elif isinstance(fact, ev.Released):
                require(began is False, "begun", step_id, "was released and may have begun")
        match fact:
            case ev.Completed(result=result):
                require(
                    str(result, "utf-8") == f'"{held.token}"',
                    "tokens",
                    step_id,
                    "has the result of another claim",
                )
                record.completed = True
                self._end(record, "completed")
            case ev.Failed():
                ended = record.tries == record.max_retries
                work = self._work[step_id]
                ended = ended or (record.snoozes == self._max_snoozes and work.snoozes > 0)
                require(
                    ended or self._work[step_id].behaviour in FAIL_AT_ONCE,
                    "tries",
                    step_id,
                    "failed after {} of {} tries",
                    record.tries + 1,
                    record.max_retries + 1,
                )
                self._end(record, "failed")
            case ev.Snoozed():
                record.snoozes += 1
                is_within = record.snoozes <= self._max_snoozes
                require(is_within, "snoozes", step_id, "was put off {} times", record.snoozes)
                record.available = fact.available_ts
                self._release(record, "pending")
            case ev.Released():
                record.available = fact.available_ts or 0
                self._release(record, "pending")
            case ev.Retried() | ev.Recovered():
                record.tries += 1
                require(
                    record.tries <= record.max_retries,
                    "tries",
                    step_id,
                    "was requeued after {} tries",
                    record.tries,
                )
                record.available = fact.available_ts if isinstance(fact, ev.Retried) else 0
                self._release(record, "pending")

    def _end(self, record: StepRecord, status: str) -> None:
        self._release(record, status)
        self._records.unfinished -= 1

    def _release(self, record: StepRecord, status: str) -> None:
        if record.held is not None:
            self._records.holding[record.held.incarnation] -= 1
            self._queues.count(record, -1)
        record.status, record.held = status, None

    def _check_row(self, record: StepRecord, step: Step) -> None:
        row = (
            step.version,
            step.status,
            step.retry_count,
            step.snoozes,
            step.priority,
            step.last_update_ts,
        )
        log = (
            record.version,
            record.status,
            record.tries,
            record.snoozes,
            record.priority,
            record.at,
        )
        require(row == log, "tables", step.step_id, "has the row {}, but the log says {}", row, log)
        require(
            number_in(step) == record.checkpoint,
            "checkpoints",
            step.step_id,
            "has checkpoint {}, and {} was saved last",
            step.checkpoint,
            record.checkpoint,
        )
        if record.held is not None:
            holder = (step.claim_token, step.claimed_by, step.incarnation)
            held = (record.held.token, record.held.pod_id, record.held.incarnation)
            require(
                holder == held,
                "tables",
                step.step_id,
                "is held by {}, but the log says {}",
                holder,
                held,
            )


def _is_late(record: StepRecord, at: int) -> bool:
    must_begin_by = record.must_begin_by
    return must_begin_by is not None and at > must_begin_by
