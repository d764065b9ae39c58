"""Safety checks: what must never happen, checked after every commit.

The checks are written from the promises and call neither ``decide`` nor ``evolve`` nor a lifecycle,
so that an error there is not repeated here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from fleet_q.core import events as ev
from fleet_q.core.calls import StoreCall
from fleet_q.core.pod import PodChange
from fleet_q.core.ports import SyncRequest
from fleet_q.core.queues import QueueWrite
from fleet_q.services.simulation.actor import Actor
from fleet_q.services.simulation.alert_checks import AlertChecks
from fleet_q.services.simulation.children import ChildChecks
from fleet_q.services.simulation.dependency_checks import DependencyChecks
from fleet_q.services.simulation.inbox_checks import InboxChecks
from fleet_q.services.simulation.mailbox import joining_pod, owner_of
from fleet_q.services.simulation.pod_checks import PodChecks
from fleet_q.services.simulation.queue_checks import QueueChecks
from fleet_q.services.simulation.recording import ScheduleChange, StepChange, TakenIn
from fleet_q.services.simulation.records import HeldClaim, Records, StepRecord, require
from fleet_q.services.simulation.scenario import Work
from fleet_q.services.simulation.schedule_checks import ScheduleChecks
from fleet_q.services.simulation.step_checks import StepChecks
from fleet_q.services.simulation.unique_key_checks import UniqueKeyChecks
from fleet_q.services.simulation.violation import Violation

LAST: Final = (2**63, 0, "")
"""A sort key behind those of all steps."""


class SafetyChecks(Records):
    """Checks every commit: steps by :class:`StepChecks`, pods by :class:`PodChecks`, and here what
    concerns the fleet: leadership, the order of claims, and pruning.

    ``work``: the steps that are submitted, by id. ``silence(actor, since)``: microseconds for which
    an actor has waited for a pod's heartbeat. ``prune_after``: microseconds after which steps and
    pods may be pruned. ``began(actor, held, step_id)``: whether a recovered step's function began;
    ``None`` if that is unknown. ``may_take(actor, record)``: whether the actor takes steps of this
    queue and this task type.
    """

    def __init__(
        self,
        work: Mapping[str, Work],
        dead_after: int,
        now: Callable[[], int],
        silence: Callable[[Actor, int], int],
        prune_after: float = math.inf,
        began: Callable[[Actor, HeldClaim, str], bool | None] = lambda actor, held, step_id: None,
        may_take: Callable[[Actor, StepRecord], bool] = lambda actor, record: True,
        max_snoozes: float = math.inf,
    ) -> None:
        super().__init__(dead_after, now)
        self.queues = QueueChecks(now)
        self.schedules = ScheduleChecks(self, now)
        self.alerts = AlertChecks(self)
        self.unique_keys = UniqueKeyChecks(self, work)
        self.inbox = InboxChecks(self, work, self.unique_keys)
        self._may_take = may_take
        self._dependencies = DependencyChecks(self)
        self._children = ChildChecks(work)
        self._step_checks = StepChecks(
            self,
            work,
            began,
            may_take,
            self.queues,
            self.unique_keys,
            self._dependencies,
            max_snoozes,
        )
        self._pod_checks = PodChecks(self, silence)
        self._prune_after = prune_after
        self._leader_seen: dict[
            Actor, str | None
        ] = {}  # the leader when a process last read the pods
        self._has_led: set[Actor] = set()
        self._latest: dict[Actor, int] = {}  # the latest store time that a process has read

    def committed(
        self,
        actor: Actor,
        call: StoreCall,
        answer: Any,
        steps: Sequence[StepChange],
        pods: Sequence[PodChange],
        queues: Sequence[QueueWrite] = (),
        taken_in: Sequence[TakenIn] = (),
        schedules: Sequence[ScheduleChange] = (),
    ) -> None:
        """Check what one call wrote, and which rows of the inbox it took in. Raises
        :class:`Violation`."""
        if taken_in:
            self.inbox.will_be_taken(taken_in)
        for queue_event, queue in queues:
            if queue_event is None:
                self.queues.stored(queue)
            else:
                self.queues.set(queue_event)
        if call.method == "pods":
            rows = answer.pods if self.reads_are_stale else None
            self._leader_seen[actor] = self.leader(answer.at, rows)
            self._latest[actor] = max(answer.at, self._latest.get(actor, 0))
            if self._leader_seen[actor] == actor.name:
                self._has_led.add(actor)
        elif call.method == "schedules":
            self.schedules.read(actor, answer.at)
        elif call.method == "insert":
            self.inbox.inserted(call.args[0])
        elif call.method in ("declare_dead", "recover") and (steps or pods):
            self._check_leads(actor)
        elif call.method == "put" and (pod_id := joining_pod(request := call.args[1])) is not None:
            self._pod_checks.posted_join(pod_id, owner_of(request))
        for pod_event, pod in pods:
            self._pod_checks.changed(pod_event, pod, actor)
        claimed: list[tuple[StepRecord, str]] = []
        pending: list[tuple[StepRecord, str]] = []
        for event, step in steps:
            record = self._step_checks.changed(event, step, call, actor)
            if record.status == "pending":
                pending.append((record, event.stream))
            elif isinstance(event.fact, ev.Claimed):
                claimed.append((record, event.stream))
        spawned = self._children.check(steps)
        submitted = {event.stream for event, _ in steps if isinstance(event.fact, ev.Submitted)}
        self._dependencies.check([event.stream for event, _ in steps], submitted, spawned)
        if taken_in or steps:
            self.inbox.check(taken_in, steps)
        if claimed:
            self.queues.check(claimed, steps[0][0].at)
            self._check_order(actor, claimed, steps[0][0].at, call.args[0])
        for schedule_event, row in schedules:
            new = [e.stream for e, _ in steps if isinstance(e.fact, ev.Submitted)]
            self.schedules.written(actor, schedule_event, row, new)
        for record, step_id in pending:
            self.queue.add(step_id, record)

    def pruned(self, actor: Actor, ids: Sequence[str]) -> None:
        """Check what a pod pruned. Raises :class:`Violation`."""
        require(actor in self._has_led, "one leader", actor.name, "pruned and was never the leader")
        before = self._latest[actor] - self._prune_after
        for step_or_pod in ids:
            step, pod = self.steps.get(step_or_pod), self.pods.get(step_or_pod)
            if step is not None:
                _check_pruned(
                    step_or_pod, step.status, ("completed", "cancelled"), step.at <= before
                )
                self._dependencies.check_pruned(step_or_pod)
                step.pruned = True
            elif pod is not None:
                is_old = pod.last_heartbeat <= before
                _check_pruned(step_or_pod, pod.status, ("down", "asleep"), is_old)
                pod.version, pod.status = 0, "down"
                self._pod_checks.pruned(step_or_pod)

    def crashed_by(self, step_id: str) -> None:
        """Count a process that the step has killed. Raises :class:`Violation`."""
        record = self.steps[step_id]
        record.crashes += 1
        if record.crashes > record.max_retries + 1:
            raise Violation("crashes are bounded", step_id, f"killed {record.crashes} processes")

    def saved(self, step_id: str, claim_token: str, number: int) -> None:
        """Check a save that was acknowledged. Raises :class:`Violation`."""
        record = self.steps[step_id]
        if record.held is not None and record.held.token == claim_token:  # or it may be replaced
            require(
                record.checkpoint >= number,
                "checkpoints",
                step_id,
                "has checkpoint {}, and {} was acknowledged",
                record.checkpoint,
                number,
            )
            record.acknowledged = max(record.acknowledged, number)

    def begins(self, step_id: str, claim_token: str, asked_at: int, checkpoint: int = 0) -> None:
        """Check a function that begins with the number in this ``checkpoint``. Its process last
        confirmed the claim by a request at ``asked_at`` (true time in microseconds). Raises
        :class:`Violation`."""
        record = self.steps[step_id]
        is_held = record.held is not None and record.held.token == claim_token
        require(
            is_held or record.changed >= asked_at,
            "only claimed steps begin",
            step_id,
            "began after its claim had ended",
        )
        if is_held:
            require(
                checkpoint >= record.acknowledged,
                "checkpoints",
                step_id,
                "began with checkpoint {}, and {} was acknowledged",
                checkpoint,
                record.acknowledged,
            )

    def _check_order(
        self, actor: Actor, claimed: list[tuple[StepRecord, str]], at: int, request: SyncRequest
    ) -> None:
        """Check that no step left in the queue precedes a claimed one. Exempt are steps that the
        pod may not take, steps without room in their queues, and those that are claimed for free
        slots only, not prefetched: steps on their last try, and steps of queues with limits."""
        order = sorted((-record.priority, record.created, step_id) for record, step_id in claimed)
        for place, (_, _, step_id) in enumerate(order):
            if place >= request.free and self.is_last_try(step_id):
                raise Violation("last tries", step_id, "was prefetched on its last try")
            if place >= request.slots and self.queues.has_limits(self.steps[step_id]):
                raise Violation("limits", step_id, "was prefetched and takes room in its queue")
        for best in self.queue.before(order[-1], at):
            record = self.steps[best[2]]
            if not (self._may_take(actor, record) and self.queues.has_room(record, at)):
                continue
            before = sum(entry < best for entry in order)
            waits = before >= request.free and self.is_last_try(best[2])
            if not waits and (before < request.slots or not self.queues.has_limits(record)):
                raise Violation("priority", best[2], f"was not claimed before {order[-1][2]}")

    def first_claimable(self, actor: Actor, at: int) -> str | None:
        """The first due step that the actor may claim within the limits of its queue, or
        ``None``."""
        for _, _, step_id in self.queue.before(LAST, at):
            record = self.steps[step_id]
            if self._may_take(actor, record) and self.queues.has_room(record, at):
                return step_id
        return None

    def _check_leads(self, actor: Actor) -> None:
        leader = self._leader_seen.get(actor)
        require(
            leader == actor.name, "one leader", actor.name, "acted while {} was the leader", leader
        )


def _check_pruned(subject: str, status: str, prunable: tuple[str, ...], is_old: bool) -> None:
    require(status in prunable, "pruning", subject, "was pruned when it was {}", status)
    require(is_old, "pruning", subject, "was pruned too early")
