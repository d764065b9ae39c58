"""The promises, checked after every commit against what it wrote.

Written from the promises, not from the core: nothing here calls ``decide``, ``evolve`` or a
lifecycle, so what is wrong there cannot be wrong here in the same way.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from fleet_q.core import events as ev
from fleet_q.core.calls import StoreCall
from fleet_q.core.events import PodEvent, StepEvent
from fleet_q.core.pod import Pod, PodChange
from fleet_q.core.ports import Turn
from fleet_q.core.settings import PodSettings
from fleet_q.core.step import Step
from fleet_q.services.simulation.actor import Actor
from fleet_q.services.simulation.ledger import StepChange
from fleet_q.services.simulation.scenario import Work
from fleet_q.services.simulation.violation import Violation

SLACK: Final = 1.25
"""How much longer than an interval by the store's clock one by a drifting pod's clock may be."""

_HOLDING: Final = (ev.Completed, ev.Retried, ev.Released, ev.Recovered, ev.Failed)


def longest_gap(settings: PodSettings) -> float:
    """Seconds for which nobody may be heard of, at most, without the leader having to notice. By a
    clock that runs slow, a leader notices it after a tenth more than it should."""
    return 1.15 * max(settings.heartbeat_interval * 1.5, settings.dead_pod_threshold / 2)


class Held(msgspec.Struct):
    """A claim as the log tells it."""

    token: str
    pod_id: str
    incarnation: str


class StepRecord(msgspec.Struct):
    """What the log has told of a step so far."""

    priority: int
    max_retries: int
    created: int
    available: int
    version: int = 0
    at: int = 0
    changed: int = 0  # by the true time, the others by the store's clock
    status: str = "pending"
    tries: int = 0
    held: Held | None = None
    completed: bool = False
    crashes: int = 0  # processes that it took down since it was last given all its tries
    pruned: bool = False


class PodRecord(msgspec.Struct):
    """What the log has told of a pod so far."""

    version: int = 0
    at: int = 0
    born: int = 0
    heard_of: int = 0
    changed: int = 0  # these two are by the true time, all others by the store's clock
    heard: int = 0
    status: str = "down"
    incarnation: str = ""


class Checks:
    """Everything that must hold whenever something was committed. ``now`` is the true time, and
    ``silence`` how long an actor has heard nothing of a pod that was heard of at such a time;
    ``began`` tells an actor whether the function of a step began under a claim whose process has
    died, or ``None``."""

    def __init__(
        self,
        work: Mapping[str, Work],
        dead_after: int,
        now: Callable[[], int],
        silence: Callable[[Actor, int], int],
        prune_after: float = math.inf,
        began: Callable[[Actor, Held, str], bool | None] = lambda actor, held, step_id: None,
    ) -> None:
        self.steps: dict[str, StepRecord] = {}
        self.pods: dict[str, PodRecord] = {}
        self.shared: set[str] = set()  # pods under whose id two processes lived at once
        self.unfinished = 0
        self.clock_set_at = 0  # by the true time: when the store's clock was set last
        self._work = work
        self._dead_after = dead_after
        self._now = now
        self._silence = silence
        self._began = began
        self._prune_after = prune_after
        self._ended: dict[str, set[str]] = defaultdict(set)  # incarnations, by pod
        self._holding: Counter[str] = Counter()  # steps, by incarnation
        self.queue = Queue(self.steps)
        self._led: dict[Actor, str | None] = {}  # whom a process's cycle found to lead
        self._has_led: set[Actor] = set()
        self._latest: dict[Actor, int] = {}  # the store's time as a process has seen it, at most

    def committed(
        self,
        actor: Actor,
        call: StoreCall,
        answer: Any,
        steps: Sequence[StepChange],
        pods: Sequence[PodChange],
    ) -> None:
        """Judge what one call did. Raises :class:`Violation`."""
        if call.method == "pods":
            self._led[actor] = self.leader(answer.at)
            self._latest[actor] = max(answer.at, self._latest.get(actor, 0))
            if self._led[actor] == actor.name:
                self._has_led.add(actor)
        elif call.method in ("declare_dead", "recover") and (steps or pods):
            self._check_leads(actor)
        for pod_event, pod in pods:
            self._pod(pod_event, pod, actor)
        claimed: list[tuple[StepRecord, str]] = []
        pending: list[tuple[StepRecord, str]] = []
        for event, step in steps:
            record = self._step(event, step, call, actor)
            if record.status == "pending":
                pending.append((record, event.stream))
            elif isinstance(event.fact, ev.Claimed):
                claimed.append((record, event.stream))
        if claimed:
            self._check_order(claimed, steps[0][0].at, call.args[0])
        for record, step_id in pending:
            self.queue.add(step_id, record)

    def pruned(self, actor: Actor, ids: Sequence[str]) -> None:
        """Judge what a pod pruned. Raises :class:`Violation`."""
        _must(actor in self._has_led, "one leader", actor.name, "pruned and has never led")
        before = self._latest[actor] - self._prune_after
        for step_or_pod in ids:
            step, pod = self.steps.get(step_or_pod), self.pods.get(step_or_pod)
            if step is not None:
                _must(step.status in ("completed", "cancelled"), "pruning", step_or_pod,
                      "was pruned when it was {}", step.status)  # fmt: skip
                _must(step.at <= before, "pruning", step_or_pod, "was pruned too early")
                step.pruned = True
            elif pod is not None:
                _must(pod.status in ("down", "asleep"), "pruning", step_or_pod,
                      "was pruned when it was {}", pod.status)  # fmt: skip
                _must(pod.heard_of <= before, "pruning", step_or_pod, "was pruned too early")
                pod.version, pod.status = 0, "down"
                self._ended.pop(step_or_pod, None)  # nobody knows of them any more

    def crashed_by(self, step_id: str) -> None:
        """The step has taken a process down."""
        record = self.steps[step_id]
        record.crashes += 1
        if record.crashes > record.max_retries + 1:
            raise Violation("poison", step_id, f"took down {record.crashes} processes")

    def leader(self, at: int) -> str | None:
        """Who leads at ``at``."""
        alive = [
            (pod.status == "asleep", pod.born, pod_id)
            for pod_id, pod in self.pods.items()
            if pod.status == "asleep"
            or (pod.status == "up" and abs(at - pod.heard_of) < self._dead_after)
        ]
        return min(alive)[2] if alive else None

    def begins(self, step_id: str, claim_token: str, asked_at: int) -> None:
        """A function begins under this claim; its process asked at ``asked_at``, by the true time,
        whether the claim stands."""
        record = self.steps[step_id]
        stands = record.held is not None and record.held.token == claim_token
        _must(stands or record.changed >= asked_at, "what begins is claimed", step_id,
              "began, though its claim had ended")  # fmt: skip

    def unled_since(self) -> int:
        """Since when, by the true time, no live pod is awake; in the future if one is."""
        return max(
            (
                pod.heard + self._dead_after if pod.status == "up" else pod.changed
                for pod in self.pods.values()
            ),
            default=self._now(),
        )

    def orphaned_since(self, held: Held) -> int | None:
        """Since when the incarnation that holds it has ended, or ``None``."""
        return self.pods[held.pod_id].changed if self._has_ended(held) else None

    def silent_since(self, held: Held) -> int | None:
        """Since when a leader ought to miss the pod that holds it, or ``None``."""
        pod = self.pods[held.pod_id]
        silent = pod.heard + self._dead_after
        return None if pod.status == "asleep" or silent > self._now() else silent

    def _step(self, event: StepEvent, step: Step, call: StoreCall, actor: Actor) -> StepRecord:
        step_id, fact = event.stream, event.fact
        record = self.steps.get(step_id)
        if record is not None and record.pruned:  # its id is free
            self.queue.forget(step_id)
            record = None
        if isinstance(fact, ev.Submitted):
            _must(record is None, "versions", step_id, "was submitted twice")
            available = fact.available_ts if self._work[step_id].delay else 0
            record = StepRecord(fact.priority, fact.max_retries, event.at, available)
            self.steps[step_id] = record
            self.unfinished += 1
        elif record is None:
            raise Violation("versions", step_id, "does not begin with its submission")
        _must(event.version == record.version + 1, "versions", step_id,
              "has version {} after {}", event.version, record.version)  # fmt: skip
        is_set = record.changed <= self.clock_set_at
        _must(is_set or event.at >= record.at, "order", step_id, "happened before what it follows")
        if isinstance(fact, ev.Claimed):
            is_late = event.at >= record.available or (is_set and record.tries > 0)
            _must(is_late, "delays", step_id, "was claimed before its time")
        record.version, record.at, record.changed = event.version, event.at, self._now()
        match fact:
            case ev.Claimed():
                self._claimed(record, event, fact, actor)
            case ev.Completed() | ev.Retried() | ev.Released() | ev.Recovered() | ev.Failed():
                self._ended_claim(record, event, fact, call, actor)
            case ev.Cancelled():
                _must(record.status in ("pending", "claimed"), "one end", step_id,
                      "was cancelled when it was {}", record.status)  # fmt: skip
                self._ends(record, "cancelled")
            case ev.Replayed():
                _must(record.status in ("failed", "cancelled"), "one end", step_id,
                      "was replayed when it was {}", record.status)  # fmt: skip
                record.tries = record.crashes = 0
                record.available = 0
                record.status = "pending"
                self.unfinished += 1
        self._check_row(record, step)
        return record

    def _claimed(
        self, record: StepRecord, event: StepEvent, fact: ev.Claimed, actor: Actor
    ) -> None:
        step_id, token = event.stream, fact.claim_token
        _must(record.status == "pending", "one holder", step_id,
              "was claimed when it was {}", record.status)  # fmt: skip
        _must(record.held is None, "one holder", step_id, "is held under two tokens")
        _must(event.pod_id == actor.name, "one holder", step_id, "is held by another than claimed")
        pod = self.pods.get(actor.name)
        _must(
            pod is not None and pod.status in ("up", "draining")
            and pod.incarnation == fact.incarnation,
            "the dead stay dead", step_id, "was claimed by an incarnation that does not live",
        )  # fmt: skip
        record.status = "claimed"
        record.held = Held(token, actor.name, fact.incarnation)
        self._holding[fact.incarnation] += 1

    def _ended_claim(
        self,
        record: StepRecord,
        event: StepEvent,
        fact: ev.Completed | ev.Retried | ev.Released | ev.Recovered | ev.Failed,
        call: StoreCall,
        actor: Actor,
    ) -> None:
        step_id, held = event.stream, record.held
        _must(not record.completed, "completed once", step_id, "{} after its completion", fact.type)
        if held is None or held.token != fact.claim_token:
            raise Violation("tokens", step_id, f"was {fact.type} without the token of its claim")
        if call.method == "recover":
            _must(self._has_ended(held), "recovery", step_id, "was taken from a pod that lives")
            began = self._began(actor, held, step_id)
            if isinstance(fact, ev.Failed):
                _must(began is not False, "begun", step_id, "never began, and failed for good")
            elif isinstance(fact, ev.Released):
                _must(began is False, "begun", step_id, "may have begun, and no try was used up")
        match fact:
            case ev.Completed(result=result):
                _must(str(result, "utf-8") == f'"{held.token}"', "tokens", step_id,
                      "has the result of another claim")  # fmt: skip
                record.completed = True
                self._ends(record, "completed")
            case ev.Failed():
                ended = record.tries == record.max_retries
                _must(
                    ended or self._work[step_id].behaviour == "fails for good",
                    "tries",
                    step_id,
                    "failed after {} of {} tries",
                    record.tries + 1,
                    record.max_retries + 1,
                )
                self._ends(record, "failed")
            case ev.Released():
                record.available = 0
                self._lets_go(record, "pending")
            case ev.Retried() | ev.Recovered():
                record.tries += 1
                _must(record.tries <= record.max_retries, "tries", step_id,
                      "goes on after {} tries", record.tries)  # fmt: skip
                record.available = fact.available_ts if isinstance(fact, ev.Retried) else 0
                self._lets_go(record, "pending")

    def _ends(self, record: StepRecord, status: str) -> None:
        self._lets_go(record, status)
        self.unfinished -= 1

    def _lets_go(self, record: StepRecord, status: str) -> None:
        if record.held is not None:
            self._holding[record.held.incarnation] -= 1
        record.status, record.held = status, None

    def _has_ended(self, held: Held) -> bool:
        pod = self.pods[held.pod_id]
        return pod.status == "down" or pod.incarnation != held.incarnation

    def _check_row(self, record: StepRecord, step: Step) -> None:
        row = (step.version, step.status, step.retry_count, step.priority, step.last_update_ts)
        log = (record.version, record.status, record.tries, record.priority, record.at)
        _must(row == log, "tables", step.step_id, "has the row {} and the log {}", row, log)
        if record.held is not None:
            holder = (step.claim_token, step.claimed_by, step.incarnation)
            held = (record.held.token, record.held.pod_id, record.held.incarnation)
            _must(
                holder == held, "tables", step.step_id, "is held by {}, in the log {}", holder, held
            )

    def _check_order(self, claimed: list[tuple[StepRecord, str]], at: int, turn: Turn) -> None:
        """What was left in the queue may not have come first, unless it is on its last try: that is
        only claimed for a free slot, where it is not known afterwards what began."""
        order = sorted((-record.priority, record.created, step_id) for record, step_id in claimed)
        for place, (_, _, step_id) in enumerate(order):
            if place >= turn.free and self.is_last_try(step_id):
                raise Violation("last tries", step_id, "was prefetched on its last try")
        for best in self.queue.before(order[-1], at):
            before = sum(each < best for each in order)
            if not self.is_last_try(best[2]) or before < turn.free:
                raise Violation("priority", best[2], f"was left while {order[-1][2]} was claimed")

    def is_last_try(self, step_id: str) -> bool:
        """Whether the step fails for good if its pod dies."""
        record = self.steps[step_id]
        return record.tries >= record.max_retries

    def _pod(self, event: PodEvent | None, row: Pod, actor: Actor) -> None:
        pod_id = row.pod_id
        pod = self.pods.setdefault(pod_id, PodRecord())
        at = row.last_heartbeat_ts if event is None else event.at
        is_set = pod.changed <= self.clock_set_at
        _must(is_set or at >= pod.at, "order", pod_id, "happened before what it follows")
        pod.at, pod.changed = at, self._now()
        if event is None:
            _must(pod.status not in ("down", "asleep") and pod.incarnation == row.incarnation,
                  "the dead stay dead", pod_id, "was heard of after its end")  # fmt: skip
            pod.heard, pod.heard_of = self._now(), at
        else:
            self._pod_event(event, pod, actor)
        seen = (row.version, row.status, row.incarnation, row.birth_ts, row.last_heartbeat_ts)
        told = (pod.version, pod.status, pod.incarnation, pod.born, pod.heard_of)
        _must(seen == told, "tables", pod_id, "has the row {} and the log {}", seen, told)

    def _pod_event(self, event: PodEvent, pod: PodRecord, actor: Actor) -> None:
        pod_id, fact = event.stream, event.fact
        _must(event.version == pod.version + 1, "versions", pod_id,
              "has version {} after {}", event.version, pod.version)  # fmt: skip
        pod.version = event.version
        if not isinstance(fact, ev.Left | ev.DeclaredDead):
            pod.heard = self._now()
        if isinstance(fact, ev.Joined):
            again = fact.incarnation in self._ended[pod_id] and pod_id not in self.shared
            _must(not again, "the dead stay dead", pod_id,
                  "joined as an incarnation that has ended")  # fmt: skip
            pod.incarnation, pod.status, pod.born = fact.incarnation, "up", event.at
        else:
            _must(pod.status != "down" and pod.incarnation == fact.incarnation,
                  "the dead stay dead", pod_id, "{} after its end", fact.type)  # fmt: skip
        match fact:
            case ev.Joined():
                pod.heard_of = event.at
            case ev.Woke():
                pod.heard_of, pod.status = event.at, "up"
            case ev.Slept():
                pod.heard_of, pod.status = event.at, "asleep"
                _must(self._holding[fact.incarnation] == 0, "nobody is missed", pod_id,
                      "fell asleep while it held steps")  # fmt: skip
            case ev.Draining():
                pod.heard_of, pod.status = event.at, "draining"
            case ev.Left():
                pod.status = "down"
                self._ended[pod_id].add(fact.incarnation)
            case ev.DeclaredDead():
                silence = -1 if pod.status == "asleep" else self._silence(actor, pod.heard)
                _must(silence >= self._dead_after, "recovery", pod_id,
                      "was declared dead after a silence of {} µs", silence)  # fmt: skip
                pod.status = "down"
                self._ended[pod_id].add(fact.incarnation)

    def _check_leads(self, actor: Actor) -> None:
        leader = self._led.get(actor)
        _must(leader == actor.name, "one leader", actor.name, "acted while {} led", leader)


class Queue:
    """The pending steps whose time has come, by what should be claimed first."""

    def __init__(self, steps: Mapping[str, StepRecord]) -> None:
        self._steps = steps
        self._waiting: list[tuple[int, str, int]] = []
        self._due: list[tuple[tuple[int, int, str], int]] = []

    def add(self, step_id: str, record: StepRecord) -> None:
        """It is pending from now on."""
        heapq.heappush(self._waiting, (record.available, step_id, record.version))

    def forget(self, step_id: str) -> None:
        """Another step will have this id."""
        self._waiting = [entry for entry in self._waiting if entry[1] != step_id]
        self._due = [entry for entry in self._due if entry[0][2] != step_id]
        heapq.heapify(self._waiting)
        heapq.heapify(self._due)

    def before(self, order: tuple[int, int, str], at: int) -> Iterator[tuple[int, int, str]]:
        """The order of the steps that ought to be claimed before one of this order."""
        passed = []
        while (first := self.first(at)) is not None and first < order:
            yield first
            passed.append(heapq.heappop(self._due))
        for entry in passed:
            heapq.heappush(self._due, entry)

    def first(self, at: int) -> tuple[int, int, str] | None:
        """The order of the step that ought to be claimed first."""
        while self._waiting and self._waiting[0][0] <= at:
            _, step_id, version = heapq.heappop(self._waiting)
            record = self._steps[step_id]
            if record.version == version:
                order = (-record.priority, record.created, step_id)
                heapq.heappush(self._due, (order, version))
        waits_again: list[tuple[tuple[int, int, str], int]] = []  # since the clock was set back
        found = None
        while self._due and found is None:
            order, version = self._due[0]
            record = self._steps[order[2]]
            if record.version != version or record.status != "pending":
                heapq.heappop(self._due)
            elif record.available > at:
                waits_again.append(heapq.heappop(self._due))
            else:
                found = order
        for entry in waits_again:
            heapq.heappush(self._due, entry)
        return found


def _must(holds: bool, promise: str, subject: str, how: str, *values: object) -> None:
    if not holds:
        raise Violation(promise, subject, how.format(*values))
