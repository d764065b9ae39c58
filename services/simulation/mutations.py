"""The guards of the core, each flipped off in turn: a simulation has to notice every one.

A guard is flipped by patching the production code while the simulation runs; the code itself knows
nothing of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Final
from unittest.mock import patch

import msgspec
from msgspec.structs import replace

from fleet_q.adapters import memory
from fleet_q.core import events as ev
from fleet_q.core import pod, pruning, recovery, step, step_by_step
from fleet_q.core.event_store import EventStore
from fleet_q.core.lifecycle import POD, STEP, STEP_STATUSES
from fleet_q.core.pod import Beat, DeclareDead, Join, Pod
from fleet_q.core.silence import SilenceTracker
from fleet_q.core.step import Claim, Recover, Step
from fleet_q.core.worker import machine
from fleet_q.core.worker.idle import Quiet
from fleet_q.core.worker.machine import PodMachine
from fleet_q.core.worker.prefetch import Prefetch
from fleet_q.services.simulation.draw import draw
from fleet_q.services.simulation.fleet import simulate
from fleet_q.services.simulation.server import Server, Session

MOST_SEEDS: Final = 200
"""Seeds within which every guard's loss is noticed."""

Patch = Callable[[], AbstractContextManager[Any]]


class Mutation(msgspec.Struct, frozen=True):
    """A guard, by what it keeps from happening."""

    guard: str
    flipped: Patch


class Finding(msgspec.Struct, frozen=True):
    """Whether the loss of a guard was noticed: by which promise, and after how many seeds."""

    guard: str
    promise: str | None
    seeds: int


def look_for(mutation: Mutation, most_seeds: int = MOST_SEEDS) -> Finding:
    """Simulate without the guard until a promise breaks."""
    for seed in range(1, most_seeds + 1):
        with mutation.flipped():
            outcome = simulate(draw(seed))
        if outcome.violation is not None:
            return Finding(mutation.guard, outcome.violation.promise, seed)
    return Finding(mutation.guard, None, most_seeds)


def _decide(command: type, change: Callable[[Step], Step]) -> Patch:
    """Decide about such commands as if the step were another."""
    decide = step.decide

    def careless(known: Any, asked: Any, at: int, pod_id: str | None = None) -> Any:
        seen = change(known) if isinstance(asked, command) and known is not None else known
        return decide(seen, asked, at, pod_id)

    return lambda: patch.object(step, "decide", careless)


def _evolve(fact: type, change: Callable[[Step, Step], Step]) -> Patch:
    """Make something else of a step (before, after) by such events."""
    evolve = step.evolve

    def careless(known: Any, event: Any) -> Any:
        after = evolve(known, event)
        return change(known, after) if isinstance(event.fact, fact) else after

    return lambda: patch.object(step, "evolve", careless)


def _is_orphan(careless: Callable[[Step, Any], bool]) -> Patch:
    @contextmanager
    def flipped() -> Iterator[None]:
        with ExitStack() as stack:
            for module in (recovery, step_by_step, memory):
                stack.enter_context(patch.object(module, "is_orphan", careless))
            yield

    return flipped


def _allowed(lifecycle: Any, status: str, trigger: str, leads_to: str) -> Patch:
    return lambda: patch.dict(lifecycle._after, {(status, trigger): leads_to})


def _method(owner: Any, name: str, make: Callable[[Any], Any]) -> Patch:
    """Replace a function by what ``make`` makes of it."""
    return lambda: patch.object(owner, name, make(getattr(owner, name)))


def _all(*patches: Patch) -> Patch:
    @contextmanager
    def flipped() -> Iterator[None]:
        with ExitStack() as stack:
            for each in patches:
                stack.enter_context(each())
            yield

    return flipped


def _any_due(queue: Any, at: int, limit: int) -> list[Step]:
    due = [s for s in queue._steps.values() if s.status in ("pending", "claimed")]
    return sorted((s for s in due if s.available_ts <= at), key=step.claim_order)[:limit]


def _not_yet_due(queue: Any, at: int, limit: int) -> list[Step]:
    pending = [s for s in queue._steps.values() if s.status == "pending"]
    return sorted(pending, key=step.claim_order)[:limit]


def _stale_claims(claimable: Any) -> Any:
    """Claim what another transaction saw."""
    seen: dict[Any, list[Step]] = {}

    def careless(tx: Any, limit: int) -> list[Step]:
        stale = seen.get(tx._db, [])[:limit]
        seen[tx._db] = claimable(tx, limit)
        return [tx._db.steps[s.step_id] and s for s in stale]

    return careless


def _log_apart(do: Any) -> Any:
    """Keep the rows in one transaction, and the events in another one after the answer."""

    def careless(server: Server, session: Session) -> None:
        log = server._ledger.step_log
        before = {step_id: len(events) for step_id, events in log.items()}
        do(server, session)
        for step_id, events in log.items():
            del events[before.get(step_id, 0) :]

    return careless


def _no_longer_asked(unanswered: Any) -> Any:
    def careless(pod_machine: PodMachine, now: float, *, crowded: bool = False) -> float:
        if pod_machine._turn is not None:
            pod_machine._outbox.remove(len(pod_machine._turn.outcomes))
            pod_machine._turn = None
        return float(unanswered(pod_machine, now, crowded=crowded))

    return careless


def _asked_anew_if_crowded(unanswered: Any) -> Any:
    def careless(pod_machine: PodMachine, now: float, *, crowded: bool = False) -> float:
        wait = float(unanswered(pod_machine, now, crowded=crowded))
        if crowded:
            pod_machine._turn = None
        return wait

    return careless


def _not_again(turn_of: Any) -> Any:
    return lambda self, turn: turn_of(self, replace(turn, again=False))


def _same_incarnation(ended: Any) -> Any:
    def careless(pod_machine: PodMachine) -> None:
        incarnation = pod_machine.incarnation
        ended(pod_machine)
        pod_machine.incarnation = incarnation

    return careless


def _joins_anyway(decide: Any) -> Any:
    def careless(known: Any, command: Any, at: int, by: str | None = None) -> Any:
        if isinstance(command, Join) and known is not None and known.status == "down":
            return ev.Event(
                command.pod_id, known.version + 1, at, by, ev.Joined(command.incarnation)
            )
        return decide(known, command, at, by)

    return careless


def _beats_anyway(decide: Any) -> Any:
    def careless(known: Any, command: Any, at: int, by: str | None = None) -> Any:
        if isinstance(command, Beat) and known is not None and known.status == "down":
            fact = ev.Woke(known.incarnation)
            return ev.Event(command.pod_id, known.version + 1, at, by, fact)
        return decide(known, command, at, by)

    return careless


def _no_cycle(cycle: Any) -> Any:
    def careless(*args: Any, **kwargs: Any) -> Generator[None, None, None]:
        yield from ()

    return careless


def _impatient(init: Any) -> Any:
    return lambda self, dead_after, longest_gap: init(self, dead_after / 4, longest_gap)


def _goes_on_hearing(on_heartbeat: Any) -> Any:
    def careless(tracker: SilenceTracker, now: float) -> None:
        tracker._longest_gap = math.inf if tracker._heard_until > -math.inf else 0.0
        on_heartbeat(tracker, now)

    return careless


def _whoever_was_heard_of(decide: Any) -> Any:
    def careless(known: Any, command: Any, at: int, by: str | None = None) -> Any:
        if isinstance(command, DeclareDead) and known is not None:
            command = DeclareDead(
                known.pod_id, known.incarnation, known.version, known.last_heartbeat_ts
            )
        return decide(known, command, at, by)

    return careless


def _is_live_in_future(_: Any) -> Any:
    def careless(known: Pod, at: int, dead_after: int) -> bool:
        awake = known.status in ("up", "draining") and at - known.last_heartbeat_ts < dead_after
        return awake or known.status == "asleep"

    return careless


def _taken_for_new(submit: Any) -> Any:
    def careless(self: Any, new: Sequence[Any], pod_id: str | None = None) -> Any:
        return submit(self, [replace(each, unique=True) for each in new], pod_id)

    return careless


def _never_hears(has_rung: Any) -> Any:
    def careless(self: Any, bell: int) -> bool:
        has_rung(self, bell)
        return False

    return careless


def _sees_a_leader(saw: Any) -> Any:
    return lambda self, fleet, now: False


def _sleeps_on_the_job(sleep_at: Any) -> Any:
    def careless(pod_machine: PodMachine) -> float:
        tired = pod_machine._quiet.dear and pod_machine._running and pod_machine.phase == "up"
        return -math.inf if tired else float(sleep_at(pod_machine))

    return careless


def _claims_while_leaving(due_claim: Any) -> Any:
    return lambda self, now: self._slots - len(self._running)


def _keeps_what_waits(expected: Any) -> Any:
    def careless(self: Any, now: float) -> None:
        expected(self, now)

    return careless


def _with(**changed: Any) -> Callable[[Any], Any]:
    """Call a function with other arguments than those given."""
    return lambda function: lambda *args, **kwargs: function(*args, **{**kwargs, **changed})


def _whatever_has_become_of_it() -> AbstractContextManager[Any]:
    """Prune steps and pods as they are now, not as they were found."""
    prune_steps, prune_pod = (
        memory.MemoryTransaction.prune_steps,
        memory.MemoryTransaction.prune_pod,
    )

    def steps(tx: Any, ended: Sequence[Any], before: int) -> Any:
        known = [
            replace(e, version=tx._db.steps[e.step_id].version)
            for e in ended
            if e.step_id in tx._db.steps
        ]
        return prune_steps(tx, known, tx.at)

    def pod_(tx: Any, known: Pod) -> Any:
        return prune_pod(tx, tx._db.pods.get(known.pod_id, known))

    return patch.multiple(memory.MemoryTransaction, prune_steps=steps, prune_pod=pod_)


def _nothing(_: Any) -> Any:
    return lambda *args, **kwargs: None


MUTATIONS: Final = (
    Mutation(
        "a change carries the step's claim token",
        _method(
            step, "_held_under", lambda check: lambda known, token: check(known, known.claim_token)
        ),
    ),
    Mutation(
        "only what is pending is claimed",
        _all(
            lambda: patch.object(memory._Queue, "due", _any_due),
            _allowed(STEP, "claimed", "claimed", "claimed"),
        ),
    ),
    Mutation(
        "nothing is claimed before its time",
        _all(
            lambda: patch.object(memory._Queue, "due", _not_yet_due),
            _decide(Claim, lambda known: replace(known, available_ts=0)),
        ),
    ),
    Mutation(
        "a claim sees what the transactions before it wrote",
        _method(memory.MemoryTransaction, "claimable", _stale_claims),
    ),
    Mutation(
        "higher priority goes first",
        _method(memory, "claim_order", lambda _: lambda s: (0, s.created_ts, s.step_id)),
    ),
    Mutation(
        "a step on its last try is not prefetched",
        lambda: patch.object(step, "claimed_of", lambda first, free: list(first)),
    ),
    Mutation(
        "age goes first among equals",
        _method(memory, "claim_order", lambda _: lambda s: (-s.priority, -s.created_ts, s.step_id)),
    ),
    Mutation(
        "the event is in the row's transaction",
        _method(Server, "_do", _log_apart),
    ),
    Mutation(
        "what was not answered is asked again",
        _method(PodMachine, "unanswered", _no_longer_asked),
    ),
    Mutation(
        "what may have been done is asked again even by who was turned away",
        _method(PodMachine, "unanswered", _asked_anew_if_crowded),
    ),
    Mutation("a turn asked again is not done twice", _method(EventStore, "turn", _not_again)),
    Mutation(
        "a submission asked again is not done twice", _method(EventStore, "submit", _taken_for_new)
    ),
    Mutation(
        "an incarnation that is gone holds nothing",
        _is_orphan(lambda s, pods: s.status == "claimed" and pods[s.claimed_by].status == "down"),
    ),
    Mutation(
        "an incarnation that lives keeps what it holds",
        _is_orphan(lambda s, pods: s.status == "claimed"),
    ),
    Mutation(
        "only the leader recovers", _method(recovery, "recovery_cycle", _with(only_as_leader=False))
    ),
    Mutation("somebody recovers", _method(recovery, "recovery_cycle", _no_cycle)),
    Mutation("only the silent are declared dead", _method(SilenceTracker, "__init__", _impatient)),
    Mutation(
        "a leader that heard nothing for a while measures silence anew",
        _method(SilenceTracker, "on_heartbeat", _goes_on_hearing),
    ),
    Mutation(
        "who was heard of in the meantime is not declared dead",
        _method(pod, "decide", _whoever_was_heard_of),
    ),
    Mutation(
        "a heartbeat from the future is no sign of life",
        _method(Pod, "is_live", _is_live_in_future),
    ),
    Mutation(
        "a step without a delay does not wait for the clock",
        _all(
            _method(step, "_after", lambda _: lambda delay, at: at + delay),
            *(
                _method(module, "is_due", lambda _: lambda s, at: s.available_ts <= at)
                for module in (step, memory)
            ),
        ),
    ),
    Mutation(
        "a dead pod joins as a new incarnation",
        _all(
            _method(PodMachine, "ended", _same_incarnation), _method(pod, "decide", _joins_anyway)
        ),
    ),
    Mutation(
        "a heartbeat does not bring the dead back",
        _all(_method(pod, "decide", _beats_anyway), _allowed(POD, "down", "woke", "up")),
    ),
    Mutation("only the living claim", _method(pod, "check_may_claim", _nothing)),
    Mutation(
        "a retry uses a try up",
        _evolve(ev.Retried, lambda before, after: replace(after, retry_count=before.retry_count)),
    ),
    Mutation(
        "a recovery uses a try up",
        _evolve(ev.Recovered, lambda before, after: replace(after, retry_count=before.retry_count)),
    ),
    Mutation(
        "a release uses no try up",
        _evolve(
            ev.Released, lambda before, after: replace(after, retry_count=before.retry_count + 1)
        ),
    ),
    Mutation(
        "poison is not tried for ever",
        _decide(Recover, lambda known: replace(known, max_retries=known.retry_count + 1)),
    ),
    Mutation(
        "no step fails before its tries are used up",
        _decide(step.Fail, lambda known: replace(known, max_retries=0)),
    ),
    Mutation(
        "what is completed is not cancelled",
        _allowed(STEP, "completed", "cancelled", "cancelled"),
    ),
    Mutation(
        "what is completed is not replayed",
        _allowed(STEP, "completed", "replayed", "pending"),
    ),
    Mutation(
        "a pod claims no more than it has room for",
        _method(machine, "slots", lambda slots: lambda most, share: 2 * slots(most, share)),
    ),
    Mutation("who leaves claims no more", _method(PodMachine, "_due_claim", _claims_while_leaving)),
    Mutation(
        "what would wait for long is released",
        _method(Prefetch, "expected", _keeps_what_waits),
    ),
    Mutation(
        "what has waited begins once its claim is confirmed",
        _method(PodMachine, "begin_by", lambda _: lambda self, now: math.inf),
    ),
    Mutation("a function whose time is up is given up", _method(PodMachine, "_expire", _nothing)),
    Mutation(
        "only what has ended is pruned",
        _method(pruning, "prune_cycle", _with(statuses=STEP_STATUSES)),
    ),
    Mutation(
        "only what has ended long ago is pruned",
        _method(pruning, "prune_cycle", _with(older_than=0)),
    ),
    Mutation(
        "only pods that are not awaited are pruned",
        _method(pruning, "prunable_pods", lambda _: lambda pods, before: list(pods)),
    ),
    Mutation(
        "what has changed since it was found is not pruned", lambda: _whatever_has_become_of_it()
    ),
    Mutation("only the leader prunes", _method(pruning, "prune_cycle", _with(dead_after=None))),
    Mutation("who sleeps hears the bell", _method(Quiet, "has_rung", _never_hears)),
    Mutation("a sleeper leads if nobody else does", _method(PodMachine, "saw", _sees_a_leader)),
    Mutation("who holds steps stays awake", _method(PodMachine, "_sleep_at", _sleeps_on_the_job)),
)
