"""Pods that work, crash, come back late and recover each other, on one store and in one model."""

from __future__ import annotations

from itertools import count, groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Final

import msgspec
import pytest
from hypothesis import event as statistic
from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import asdict, replace

from fleet_q.adapters.calendar import CALENDAR
from fleet_q.core import events as ev
from fleet_q.core import schedules
from fleet_q.core.audit import audit
from fleet_q.core.dependencies import Kind, parents_json
from fleet_q.core.errors import (
    FleetQError,
    IllegalTransition,
    IncarnationEnded,
    InvalidInput,
    StaleClaim,
    StepConflict,
    UniqueKeyTaken,
    UnknownStep,
)
from fleet_q.core.events import DEFAULT_QUEUE
from fleet_q.core.lifecycle import FINAL, STEP
from fleet_q.core.pod import Drain, Join, Leave, Pod, PodCommand, SendHeartbeat, Sleep
from fleet_q.core.ports import SyncRequest, SyncResult
from fleet_q.core.pruning import PRUNED_BY_DEFAULT, PruneStats, prune_cycle
from fleet_q.core.queues import QueueChange
from fleet_q.core.rate import Rate
from fleet_q.core.recovery import is_orphan
from fleet_q.core.routing import EVERYWHERE, Routes
from fleet_q.core.schedules import (
    Definition,
    Overlap,
    Schedule,
    ScheduleStatus,
    ScheduleWrite,
)
from fleet_q.core.step import (
    Cancel,
    Change,
    Complete,
    Fail,
    OnConflict,
    Outcome,
    Recover,
    Release,
    Replay,
    Reprioritize,
    SaveCheckpoint,
    Snooze,
    Submit,
    claim_order,
    fold,
    is_due,
    steps_to_claim,
)

from .clock import SECOND, FakeClock
from .helpers import WITHOUT_COMMAND, call_by_call, ids, known
from .model import Limits, Model, Refused, serves
from .stores import KINDS, StoreKind

pod_ids = st.sampled_from(["a", "b", "c"])
STEP_IDS: Final = [f"s{number}" for number in range(14)]
step_ids = st.sampled_from(STEP_IDS)
submissions = st.builds(
    Submit,
    step_ids,
    payload=st.sampled_from(["{}"] * 9 + ['{"n":1}']),
    priority=st.integers(-1, 1),
    max_retries=st.integers(0, 2),
    delay=st.sampled_from([0, 0, 0, SECOND, 5 * SECOND]),
    queue=st.sampled_from([DEFAULT_QUEUE, DEFAULT_QUEUE, "gpu"]),
    task_type=st.sampled_from(["", "resize"]),
    key=st.sampled_from([None, "c7"]),
    unique_key=st.sampled_from([None, None, "one", "two"]),
    unique_for=st.sampled_from([None, None, 5 * SECOND]),
    on_conflict=st.sampled_from(["existing", "existing", "replace", "error"]),
    labels=st.sampled_from([None, '{"day":"1"}']),
    timeout=st.sampled_from([None, SECOND]),
    start_by=st.sampled_from([None, None, None, 3 * SECOND]),
)
parents = st.dictionaries(
    step_ids, st.sampled_from(["success", "success", "finished"]), min_size=1, max_size=2
)
batches = st.lists(submissions, min_size=1, max_size=4)
claims = st.sampled_from([0, 0, 0, 2])
endings = st.sampled_from(
    ["complete", "complete", "fail", "fail later", "give up", "release", "release later", "snooze"]
)
routings = st.sampled_from(
    [
        EVERYWHERE,
        EVERYWHERE,
        Routes(queues=("gpu",)),
        Routes(task_types=("",)),
        Routes((DEFAULT_QUEUE, "api"), ("report", "resize")),
    ]
)
fates = st.sampled_from(["answered"] * 6 + ["answer lost", "request lost"])


class Process(msgspec.Struct):
    """What a pod's process knows; without an ``incarnation`` it has to join (again)."""

    incarnation: str | None = None
    held: dict[str, str] = msgspec.field(default_factory=dict)
    unanswered: SyncRequest | None = None
    """The request to repeat."""


def joining(pod_id: str, incarnation: str) -> Join:
    """A join that tells something of its incarnation."""
    return Join(pod_id, incarnation, f'{{"host":"{incarnation}"}}')


class Fleet(RuleBasedStateMachine):
    """Three pods on one store; every rule makes the same call to the store and to the model."""

    kind: ClassVar[StoreKind]
    happened: ClassVar[set[str]]

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.clock = FakeClock()
        self.store = self.kind.open(Path(self.folder.name), self.clock)
        longest_wait = round(self.kind.longest_wait * SECOND)
        self.model = Model(longest_wait, claims_first=self.kind.writes_are_billed)
        self.processes: dict[str, Process] = {}
        self.incarnations: list[tuple[str, str]] = []  # all that ever joined: (pod, incarnation)
        self.claims: list[tuple[str, str]] = []  # all that were ever made: (step, token)
        self.noted: list[tuple[str, str]] = []  # orphans that a leader has read: (step, token)
        self.names = (f"id {number}" for number in count())
        self.clock_went_back = False
        self.observed: tuple[Pod, ...] = ()
        self.schedules: dict[str, Schedule] = {}

    def teardown(self) -> None:
        for step_id in self.model.steps:
            self.note(*(event.fact.type for event in self.store.history(step_id)))
        self.store.close()
        self.kind.discard(Path(self.folder.name))
        self.folder.cleanup()

    def note(self, *what: str) -> None:
        """Record what happened in a run, to check that the rules have effects."""
        for name in set(what):
            statistic(name)
            self.happened.add(name)

    # What users do

    @initialize()
    def begin(self) -> None:
        steps = [Submit(step_id, "{}", max_retries=2) for step_id in STEP_IDS[:4]]
        child = Submit(STEP_IDS[-1], "{}", parents=parents_json({STEP_IDS[0]: "success"}))
        self.submit([*steps, child])
        self.join("a", claim=2, fate="answered")

    @rule(batch=batches)
    def submit(self, batch: list[Submit]) -> None:
        try:
            expected = self.model.submit(batch, self.clock())
        except Refused:
            self.note("conflict")
            with pytest.raises((StepConflict, UniqueKeyTaken, InvalidInput, UnknownStep)):
                self.store.submit(batch)
        else:
            results = self.store.submit(batch)
            assert [(result.step_id, result.is_new) for result in results] == expected

    @precondition(lambda self: bool(self.model.steps))
    @rule(batch=batches, after=st.lists(parents, min_size=1, max_size=4), is_new=st.booleans())
    def submit_with_parents(
        self, batch: list[Submit], after: list[dict[str, Kind]], is_new: bool
    ) -> None:
        """Steps that wait for others, of the batch or of the store; or only one, which ``is_new``
        if there is an id left."""
        existing = list(self.model.steps)
        if is_new:
            new_ids = [step_id for step_id in STEP_IDS if step_id not in existing]
            batch = [Submit(step_id, "{}", max_retries=1) for step_id in new_ids[:1]]
        known_ids = [*existing, *(new.step_id for new in batch)]
        with_parents = [
            replace(
                new,
                parents=parents_json(
                    {p if p in known_ids else existing[-1]: kind for p, kind in by_id.items()}
                ),
            )
            for new, by_id in zip(batch, after, strict=False)
        ]
        self.submit([*with_parents, *batch[len(with_parents) :]])

    @precondition(lambda self: self.kind.insert is not None)
    @rule(
        step_id=step_ids,
        payload=st.sampled_from(["{}", "{}", '{"n":1}', "nonsense"]),
        options=st.sampled_from(
            [
                {},
                {"queue": "gpu"},
                {"delay": 2.5},
                {"priority": 1},
                {"unique_key": "one"},
                {"unique_key": "two", "on_conflict": "replace"},
                {"unique_key": "one", "on_conflict": "error"},
            ]
        ),
    )
    def insert_into_inbox(self, step_id: str, payload: str, options: dict[str, Any]) -> None:
        row = {"payload": payload, **options, "step_id": step_id, "max_retries": 2}
        assert self.kind.insert is not None
        inserted = self.model.insert(row)
        if self.kind.writes_are_billed:  # row ids go on from those of other tests
            row = inserted
        self.kind.insert(Path(self.folder.name), self.store, [row])

    @rule(
        change=st.sampled_from(["cancel", "replay", "reprioritize"]),
        priority=st.integers(-1, 1),
        batch=st.lists(step_ids, max_size=4, unique=True),
    )
    def change_allowed(self, change: str, priority: int, batch: list[str]) -> None:
        commands: list[Change] = [Cancel(step_id) for step_id in batch]
        if change == "replay":
            commands = [Replay(step_id) for step_id in batch]
        elif change == "reprioritize":
            commands = [Reprioritize(step_id, priority) for step_id in batch]
        expected = self.model.change_allowed(change, priority, batch, self.clock())
        assert sorted(self.store.change_allowed(commands)) == sorted(expected)

    @rule(
        step_id=step_ids,
        unique_key=st.sampled_from(["one", "two"]),
        on_conflict=st.sampled_from(["existing", "replace", "replace", "error"]),
    )
    def submit_with_unique_key(
        self, step_id: str, unique_key: str, on_conflict: OnConflict
    ) -> None:
        self.submit([Submit(step_id, "{}", unique_key=unique_key, on_conflict=on_conflict)])

    @rule(step_id=step_ids)
    def cancel(self, step_id: str) -> None:
        try:
            self.model.cancel(step_id, self.clock())
        except Refused:
            with pytest.raises(FleetQError):
                self.store.cancel(step_id)
        else:
            assert asdict(self.store.cancel(step_id)) == self.model.steps[step_id]

    @rule(chosen=st.lists(step_ids, min_size=1, max_size=2), all_over=st.booleans())
    def replay(self, chosen: list[str], all_over: bool) -> None:
        if all_over:
            over = ("failed", "cancelled")
            chosen = [name for name, step in self.model.steps.items() if step["status"] in over]
        try:
            self.model.replay(chosen, self.clock())
        except Refused:
            with pytest.raises(FleetQError):
                self.store.replay(chosen)
        else:
            replayed = [asdict(step) for step in self.store.replay(chosen)]
            assert replayed == [self.model.steps[step_id] for step_id in chosen]

    @rule(
        queue=st.sampled_from([DEFAULT_QUEUE, "gpu", "gpu"]),
        max_running=st.sampled_from([None, 1, 2]),
        per_key=st.sampled_from([None, None, 1]),
        rate=st.sampled_from([None, None, (1, SECOND), (3, 10 * SECOND)]),
        paused=st.sampled_from([False, False, False, True]),
    )
    def limit(
        self,
        queue: str,
        max_running: int | None,
        per_key: int | None,
        rate: tuple[int, int] | None,
        paused: bool,
    ) -> None:
        self.model.limit(queue, Limits(max_running, per_key, rate, paused, self.clock()))
        change = QueueChange(max_running, per_key, Rate(*rate) if rate else None, paused)
        self.store.set_queue(queue, change)

    @rule(
        name=st.sampled_from(["daily", "hourly"]),
        action=st.sampled_from(["put", "put", "fire", "fire", "fire", "pause", "resume", "delete"]),
        every=st.integers(1, 3),
        overlap=st.sampled_from(schedules.OVERLAP),
        was_changed=st.booleans(),
    )
    def schedule(
        self, name: str, action: str, every: int, overlap: Overlap, was_changed: bool
    ) -> None:
        """A client changes a schedule, or a leader fires one; with ``was_changed``, first one who
        had read another row."""
        listed = self.store.schedules()
        assert {row.schedule: row for row in listed.schedules} == self.schedules
        statuses = {step_id: step["status"] for step_id, step in self.model.steps.items()}
        last = {row.last_step_id for row in listed.schedules} & statuses.keys()
        assert listed.last_statuses == {step_id: statuses[step_id] for step_id in last if step_id}
        write = self.schedule_write(name, action, every, overlap)
        if write is None:
            return
        if was_changed:
            firings = 1 if write.before is None else write.before.firings + 1
            other = replace(write, before=replace(write.after, firings=firings + 1))
            assert not self.store.write_schedule(other)
        new = [submit for submit in write.steps if submit.step_id not in statuses]
        if new:
            self.note("fired")
            self.model.submit(new, self.clock())
        assert self.store.write_schedule(write)
        self.schedules[name] = write.after

    def schedule_write(
        self, name: str, action: str, every: int, overlap: Overlap
    ) -> ScheduleWrite | None:
        row, at = self.schedules.get(name), self.clock()
        if action == "put":
            submit = Submit("", '{"n":2}', max_retries=1)
            made = Definition(name, submit, every=every * SECOND, overlap=overlap, missed="all")
            return schedules.put(row, made, at, None, CALENDAR)
        if row is None:
            return None
        if action == "fire":
            last = self.model.steps.get(row.last_step_id or "")
            status = None if last is None else last["status"]
            return schedules.fire(row, status, at, CALENDAR) if schedules.is_due(row, at) else None
        becomes: dict[str, ScheduleStatus] = {
            "pause": "paused", "resume": "active", "delete": "deleted",
        }  # fmt: skip
        return schedules.set_status(row, becomes[action], at, None, CALENDAR)

    # What pods do

    @rule(pod_id=pod_ids, claim=st.integers(0, 3), fate=fates)
    def join(self, pod_id: str, claim: int, fate: str) -> None:
        """A process starts under the pod's id; an earlier one has crashed."""
        process = self.processes[pod_id] = Process(next(self.names))
        assert process.incarnation is not None
        self.sync(pod_id, joining(pod_id, process.incarnation), (), claim, fate)

    @rule(
        pod_id=pod_ids,
        claim=st.integers(1, 4),
        prefetch=st.integers(0, 4),
        fate=fates,
        routes=routings,
    )
    def claim(self, pod_id: str, claim: int, prefetch: int, fate: str, routes: Routes) -> None:
        self.work(pod_id, None, [], claim, fate, min(prefetch, claim), routes)

    @rule(pod_id=pod_ids, ends=st.lists(endings, min_size=1, max_size=3), fate=fates)
    def finish(self, pod_id: str, ends: list[str], fate: str) -> None:
        """Of the pod, or of another that holds steps."""
        busy = (name for name, process in self.processes.items() if process.held)
        if pod_id not in self.processes or not self.processes[pod_id].held:
            pod_id = next(busy, pod_id)
        self.work(pod_id, None, ends, 0, fate)

    @rule(
        pod_id=pod_ids,
        command_type=st.sampled_from([None, SendHeartbeat, SendHeartbeat, Sleep, Drain]),
        ends=st.lists(endings, max_size=4),
        claim=st.integers(0, 3),
        fate=fates,
        routes=routings,
    )
    def work(
        self,
        pod_id: str,
        command_type: type[SendHeartbeat] | type[Sleep] | type[Drain] | None,
        ends: list[str],
        claim: int,
        fate: str,
        prefetch: int = 0,
        routes: Routes = EVERYWHERE,
    ) -> None:
        """The next request of a pod; one without an answer is repeated first."""
        process = self.processes.get(pod_id)
        if process is None:
            self.join(pod_id, claim, fate)
            return
        if process.unanswered is not None:
            self.repeat(pod_id, process.unanswered, fate)
            return
        pod_command: PodCommand | None
        if process.incarnation is None:
            process.incarnation = next(self.names)
            pod_command = joining(pod_id, process.incarnation)
        else:
            pod_command = command_type(pod_id, process.incarnation) if command_type else None
        outcomes = tuple(ending(*pair) for pair in zip(ends, process.held.items(), strict=False))
        self.sync(pod_id, pod_command, outcomes, claim, fate, prefetch, routes)

    @rule(pod_id=pod_ids, release=st.booleans(), fate=fates)
    def leave(self, pod_id: str, release: bool, fate: str) -> None:
        process = self.processes.get(pod_id)
        if process is None or process.incarnation is None or process.unanswered is not None:
            return
        held = process.held.items() if release else ()
        outcomes = tuple(ending("release", claimed) for claimed in held)
        self.sync(pod_id, Leave(pod_id, process.incarnation), outcomes, 0, fate)

    @rule(pod_id=pod_ids)
    def crash(self, pod_id: str) -> None:
        self.processes.pop(pod_id, None)

    @rule(
        data=st.data(),
        how=endings,
        command_type=st.sampled_from([None, None, SendHeartbeat, Drain]),
        claim=claims,
    )
    def come_back_late(
        self,
        data: st.DataObject,
        how: str,
        command_type: type[SendHeartbeat] | type[Drain] | None,
        claim: int,
    ) -> None:
        """An incarnation, perhaps one that has ended, sends the outcome of an old claim."""
        pod_id, incarnation = data.draw(st.sampled_from(self.incarnations))
        claimed = data.draw(st.sampled_from(self.claims or [("none", "none")]))
        pod_command = command_type(pod_id, incarnation) if command_type else None
        token = next(self.names) if claim else ""
        request = SyncRequest(
            pod_id, incarnation, pod_command, (ending(how, claimed),), claim, token
        )
        result = self.do(request)
        if result:
            self.note("late and refused" if result.refused else "late but in time")

    @precondition(lambda self: bool(self.claims))
    @rule(
        data=st.data(),
        checkpoint=st.sampled_from(['{"saved":1}', '{"saved":2}']),
        behind=st.sampled_from([0, 0, 0, 1, 2]),
    )
    def save(self, data: st.DataObject, checkpoint: str, behind: int) -> None:
        """A function saves a checkpoint under a claim, perhaps an old one, or repeats a call."""
        held = [c for process in self.processes.values() for c in process.held.items()]
        step_id, token = data.draw(st.sampled_from(held + self.claims))
        step = self.model.steps.get(step_id)
        version = step["version"] - behind if step else 1
        save = SaveCheckpoint(step_id, token, checkpoint, version)
        try:
            self.model.save(step_id, token, checkpoint, version, self.clock())
        except Refused:
            self.note("stale checkpoint")
            with pytest.raises(StaleClaim):
                self.store.save_checkpoint(save, "pod")
        else:
            self.store.save_checkpoint(save, "pod")

    # What leaders do; these calls are safe for every pod

    @rule()
    def observe_pods(self) -> None:
        self.observed = self.store.described_pods().pods

    @rule(pod_id=pod_ids, anew=st.booleans())
    def declare_dead(self, pod_id: str, anew: bool) -> None:
        """Those of the observed pods that have not changed since."""
        if anew:
            self.observe_pods()
        observed = [pod for pod in self.observed if anew or pod.pod_id != pod_id]
        expected = self.model.declare_dead([asdict(pod) for pod in observed])
        declared = self.store.declare_dead(observed, pod_id)
        assert [pod.pod_id for pod in declared] == expected
        if expected:
            self.note("died")

    @rule()
    def note_orphans(self) -> None:
        self.noted += [(o.step_id, o.claim_token) for o in self.store.orphans("", 100)]

    @rule(pod_id=pod_ids, data=st.data())
    def recover_some(self, pod_id: str, data: st.DataObject) -> None:
        """Of the orphans noted earlier, and, unlike a leader, of all claims ever made."""
        if claims := self.noted + self.claims:
            self.recover(pod_id, data.draw(st.lists(st.sampled_from(claims), max_size=3)))

    @rule(pod_id=pod_ids, anew=st.booleans())
    def recover_all(self, pod_id: str, anew: bool) -> None:
        self.declare_dead(pod_id, anew)
        self.note_orphans()
        self.recover(pod_id, self.noted)
        self.noted.clear()

    @rule(age=st.sampled_from([0, 5, 20, 20]), failed=st.booleans())
    def prune(self, age: int, failed: bool) -> None:
        statuses = FINAL if failed else PRUNED_BY_DEFAULT
        steps, pods = self.model.prune(self.clock() - age * SECOND, statuses)
        stats = PruneStats()
        for _ in call_by_call(
            self.store,
            prune_cycle(
                older_than=age * SECOND,
                prune_batch=self.store.traits.prune_batch,
                stats=stats,
                statuses=statuses,
                archive=lambda events: self.note(*(event.fact.type for event in events)),
            ),
        ):
            pass
        assert (stats.steps, stats.pods) == (steps, pods)
        self.note(*["steps pruned"] * (steps > 0), *["pods pruned"] * (pods > 0))

    # What else happens

    @rule(seconds=st.sampled_from([0.5, 1, 4, 5, 11]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def clock_is_set_ahead(self) -> None:
        self.clock.step(30)

    @precondition(lambda self: not any(limits.rate for limits in self.model.limits.values()))
    @rule(seconds=st.sampled_from([1, 5]))
    def clock_is_set_back(self, seconds: float) -> None:
        """On Snowflake by an hour and more: a time less than the longest wait ahead counts as that
        of a statement which waited. Not with rates: stores may begin to refill a bucket at any
        claim after that, as test_claims_within_limits.py shows."""
        self.clock.step(-seconds - 12 * self.kind.longest_wait)
        self.clock_went_back = True

    @rule()
    def rebuild(self) -> None:
        assert self.store.rebuild().equal

    # Helpers

    def sync(
        self,
        pod_id: str,
        pod_command: PodCommand | None,
        outcomes: tuple[Outcome, ...],
        claim: int,
        fate: str,
        prefetch: int = 0,
        routes: Routes = EVERYWHERE,
    ) -> None:
        process = self.processes[pod_id]
        assert process.incarnation is not None
        self.incarnations.append((pod_id, process.incarnation))
        request = SyncRequest(
            pod_id,
            process.incarnation,
            pod_command,
            outcomes,
            claim,
            next(self.names) if claim else "",
            prefetch,
            tuple(process.held.items()),
            routes=routes,
        )
        self.send(process, request, fate)

    def repeat(self, pod_id: str, request: SyncRequest, fate: str) -> None:
        self.send(self.processes[pod_id], replace(request, is_retry=True), fate)

    def send(self, process: Process, request: SyncRequest, fate: str) -> None:
        if fate == "request lost":
            process.unanswered = request
            return
        result = self.do(request)
        if fate == "answer lost":
            process.unanswered = request
            return
        process.unanswered = None
        if result is None:
            process.incarnation = None  # it joins again as a new one, and holds what it holds
            return
        for step_id in [outcome.step_id for outcome in request.outcomes] + list(result.lost):
            process.held.pop(step_id, None)
        process.held |= {step.step_id: request.claim_token for step in result.claimed}
        if isinstance(request.pod_command, Leave):
            del self.processes[request.pod_id]

    @rule()
    def expire(self) -> None:
        """As the leader does, and claims on some stores do."""
        expired = self.model.expire(self.clock())
        assert self.store.expire(100) == expired
        self.note(*["expired"] * (expired > 0))

    def do(self, request: SyncRequest) -> SyncResult | None:
        """Sync store and model; ``None`` if the incarnation has ended. Claims cancel expired steps
        only if they write anything, so these are cancelled before."""
        now = self.clock()
        if self.model.expired(now):
            self.expire()
        table = (
            []
            if self.kind.writes_are_billed
            else [self.store.step(step_id) for step_id in self.model.steps]
        )
        has_rows = bool(self.model.inbox)
        routes = request.routes
        due = [s for s in table if s and s.status == "pending" and is_due(s, now)]
        queue = [step for step in due if serves(routes, asdict(step))]
        try:
            expected = self.model.sync(request, now)
        except Refused:
            self.note("incarnation ended")
            with pytest.raises((IncarnationEnded, IllegalTransition)):
                self.store.sync(request)
            return None
        result = self.store.sync(request)
        assert result.at == now
        assert ids(result.claimed) == expected["claimed"]
        assert [asdict(step) for step in result.claimed] == self.rows(expected["claimed"])
        assert list(result.refused) == expected["refused"]
        assert list(result.lost) == expected["lost"]
        if request.claim and not request.is_retry and not self.kind.writes_are_billed:
            if not has_rows and not any(limits.hold for limits in self.model.limits.values()):
                first = sorted(queue, key=claim_order)[: request.claim]
                assert expected["claimed"] == ids(steps_to_claim(first, request.free))
            is_short = len(expected["claimed"]) < request.claim
            within = self.model.within_limits(now, routes=routes)
            assert result.more == (is_short and bool(within))
            held_back = is_short and not within and bool(self.model.claimable(now, routes))
            assert result.held_back == held_back
            if routes == EVERYWHERE or not held_back:  # a token of another queue may come earlier
                times = [
                    self.model.next_due(now, routes),
                    self.model.next_token(now) if held_back else None,
                ]
                next_due = min((time for time in times if time is not None), default=None)
                assert self.clock_went_back or result.next_due == next_due
            self.note(*["held back"] * held_back)
            self.note(*["passed over"] * (len(due) > len(queue)))
            assert result.any_claimed == (self.model.counts()["claimed"] > 0)
        self.claims += [(step_id, request.claim_token) for step_id in expected["claimed"]]
        if request.is_retry and expected["claimed"]:
            self.note("claim returned again")
        return result

    def recover(self, pod_id: str, noted: list[tuple[str, str]]) -> None:
        expected = self.model.recover(noted, self.clock())
        recovered = self.store.recover([Recover(*claim) for claim in noted], pod_id)
        assert ids(recovered) == expected
        assert [asdict(step) for step in recovered] == self.rows(expected)

    def rows(self, chosen: list[str]) -> list[dict[str, Any]]:
        return [self.model.steps[step_id] for step_id in chosen]

    # What holds after every rule

    @invariant()
    def the_tables_are_what_the_model_says(self) -> None:
        asked = list(self.model.steps)
        if (
            self.kind.writes_are_billed
        ):  # fewer rows, since the tables are also compared with the log
            asked = asked[self.clock() // SECOND % max(len(asked), 1) :][:1]
        table = {step_id: self.store.step(step_id) for step_id in asked}
        assert {step_id: step and asdict(step) for step_id, step in table.items()} == {
            step_id: self.model.steps[step_id] for step_id in asked
        }
        fleet = self.store.described_pods()
        pods = {pod.pod_id: pod for pod in fleet.pods}
        pod_rows = {pod_id: asdict(pod) for pod_id, pod in pods.items()}
        for pod_id, row in pod_rows.items() if self.kind.writes_are_billed else ():
            # A heartbeat there is at least a microsecond later than the one before.
            expected = self.model.pods[pod_id]
            late = row["last_heartbeat_ts"] - expected["last_heartbeat_ts"]
            if late >= 0 and (self.clock_went_back or late < 1_000):
                expected["last_heartbeat_ts"] = row["last_heartbeat_ts"]
        assert pod_rows == self.model.pods
        assert self.store.counts() == self.model.counts()
        assert self.store.backlog() == self.model.backlog(self.clock())
        orphans = self.store.orphans("", 100)
        assert ids(orphans) == self.model.orphans()
        assert all(is_orphan(known(self.store, orphan.step_id), pods) for orphan in orphans)

    @invariant()
    def the_log_is_what_the_model_says(self) -> None:
        log = list(self.store.step_events())
        folded = {}
        for step_id, group in groupby(log, key=lambda event: event.stream):
            history = list(group)
            assert [event.version for event in history] == list(range(1, len(history) + 1))
            assert sum(isinstance(event.fact, ev.Completed) for event in history) <= 1
            step = fold(history)
            assert step is not None
            folded[step_id] = asdict(step)
        assert folded == self.model.steps
        assert audit(log).faults == []
        assert self.store.rebuild(check=True).equal


def ending(how: str, claimed: tuple[str, str]) -> Outcome:
    step_id, token = claimed
    match how:
        case "complete":
            return Complete(step_id, token, f'"{token}"')
        case "fail":
            return Fail(step_id, token, "Boom", "line 1")
        case "fail later":
            return Fail(step_id, token, "Boom", retry_delay=3 * SECOND)
        case "give up":
            return Fail(step_id, token, "Hopeless", permanent=True)
        case "snooze":
            return Snooze(step_id, token, retry_delay=3 * SECOND)
        case "release later":
            return Release(step_id, token, retry_delay=3 * SECOND)
    return Release(step_id, token)


def run_machine(kind: StoreKind, runs: int, *, number: int | None = None) -> set[str]:
    """Make so many runs, the same ones for the same number; returns what happened in them."""
    happened: set[str] = set()
    machine = type("Fleet", (Fleet,), {"kind": kind, "happened": happened})
    run_state_machine_as_test(
        machine if number is None else seed(number)(machine),
        settings=settings(max_examples=runs, stateful_step_count=kind.run_length),
    )
    return happened


@pytest.mark.parametrize(
    "part", [pytest.param(20, id="brief"), pytest.param(1, id="whole", marks=pytest.mark.slow)]
)
def test_store_and_model_agree_after_random_calls(kind: StoreKind, part: int) -> None:
    run_machine(kind, -(-kind.runs // part))


@pytest.mark.slow
def test_rules_cause_all_that_can_happen() -> None:
    """In runs that are the same each time. The store does not matter, since it draws none."""
    memory, *_ = KINDS
    missing = (STEP.triggers() - WITHOUT_COMMAND) | {
        "claim returned again",
        "conflict",
        "died",
        "expired",
        "held back",
        "incarnation ended",
        "late and refused",
        "late but in time",
        "passed over",
        "pods pruned",
        "rejected",
        "stale checkpoint",
        "steps pruned",
    }
    for number in range(100):
        missing -= run_machine(memory, 10, number=number)
        if not missing:
            break
    assert not missing
