"""Mutations of pods: incarnations, leadership, silence and recovery."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import Any, Final

from fleet_q.adapters import memory
from fleet_q.core import events as ev
from fleet_q.core import pod, recovery, step_by_step
from fleet_q.core.lifecycle import POD
from fleet_q.core.pod import DeclareDead, Join, Pod, SendHeartbeat
from fleet_q.core.silence import SilenceTracker
from fleet_q.core.step import Step
from fleet_q.core.worker.membership import Membership
from tests.mutations.guards import (
    Mutation,
    Patch,
    allowed,
    nothing,
    replaced,
    together,
    with_arguments,
)


def _is_orphan(mutant: Callable[[Step, Any], bool]) -> Patch:
    modules = (recovery, step_by_step, memory)
    return together(*(replaced(module, "is_orphan", lambda _: mutant) for module in modules))


def _is_held_by_a_pod_that_is_down_or_unknown(step: Step, pods: Any) -> bool:
    holder = pods.get(step.claimed_by)
    return step.status == "claimed" and (holder is None or holder.status == "down")


def _same_incarnation(ended: Any) -> Any:
    def mutant(member: Membership) -> None:
        incarnation = member.incarnation
        ended(member)
        member.incarnation = incarnation

    return mutant


def _joins_anyway(decide: Any) -> Any:
    def mutant(row: Any, command: Any, at: int, by: str | None = None) -> Any:
        if isinstance(command, Join) and row is not None and row.status == "down":
            return ev.Event(command.pod_id, row.version + 1, at, by, ev.Joined(command.incarnation))
        return decide(row, command, at, by)

    return mutant


def _revives(decide: Any) -> Any:
    def mutant(row: Any, command: Any, at: int, by: str | None = None) -> Any:
        if isinstance(command, SendHeartbeat) and row is not None and row.status == "down":
            fact = ev.Woke(row.incarnation)
            return ev.Event(command.pod_id, row.version + 1, at, by, fact)
        return decide(row, command, at, by)

    return mutant


def _claims_nothing_began(_: Any) -> Any:
    def mutant(starts: Any, orphans: Any) -> set[str]:
        return {orphan.step_id for orphan in orphans} if starts is not None else set()

    return mutant


def _no_cycle(cycle: Any) -> Any:
    def mutant(*args: Any, **kwargs: Any) -> Generator[None, None, None]:
        yield from ()

    return mutant


def _quarter_threshold(init: Any) -> Any:
    return lambda self, dead_after, longest_gap: init(self, dead_after / 4, longest_gap)


def _ignores_gaps(on_heartbeat: Any) -> Any:
    def mutant(tracker: SilenceTracker, now: float) -> None:
        tracker._longest_gap = math.inf if tracker._last_heartbeat > -math.inf else 0.0
        on_heartbeat(tracker, now)

    return mutant


def _ignores_new_heartbeat(decide: Any) -> Any:
    def mutant(row: Any, command: Any, at: int, by: str | None = None) -> Any:
        if isinstance(command, DeclareDead) and row is not None:
            command = DeclareDead(row.pod_id, row.incarnation, row.version, row.last_heartbeat_ts)
        return decide(row, command, at, by)

    return mutant


def _is_live_in_future(_: Any) -> Any:
    def mutant(row: Pod, at: int, dead_after: int) -> bool:
        awake = row.status in ("up", "draining") and at - row.last_heartbeat_ts < dead_after
        return awake or row.status == "asleep"

    return mutant


PODS: Final = (
    Mutation(
        "steps of a replaced incarnation are recovered",
        _is_orphan(_is_held_by_a_pod_that_is_down_or_unknown),
    ),
    Mutation(
        "steps of a live incarnation are not recovered",
        _is_orphan(lambda s, pods: s.status == "claimed"),
    ),
    Mutation(
        "only the leader recovers",
        replaced(recovery, "recovery_cycle", with_arguments(only_as_leader=False)),
    ),
    Mutation("orphans are looked for", replaced(recovery, "recovery_cycle", _no_cycle)),
    Mutation(
        "a pod is declared dead only after the dead-pod threshold",
        replaced(SilenceTracker, "__init__", _quarter_threshold),
    ),
    Mutation(
        "a leader that was cut off measures silence anew",
        replaced(SilenceTracker, "on_heartbeat", _ignores_gaps),
    ),
    Mutation(
        "a pod with a new heartbeat is not declared dead",
        replaced(pod, "decide", _ignores_new_heartbeat),
    ),
    Mutation(
        "a heartbeat in the future does not make a pod live",
        replaced(Pod, "is_live", _is_live_in_future),
    ),
    Mutation(
        "a dead pod joins as a new incarnation",
        together(
            replaced(Membership, "begin_incarnation", _same_incarnation),
            replaced(pod, "decide", _joins_anyway),
        ),
    ),
    Mutation(
        "a heartbeat does not revive a dead pod",
        together(replaced(pod, "decide", _revives), allowed(POD, "down", "woke", "up")),
    ),
    Mutation(
        "a step that never began does not fail because its pod died",
        replaced(recovery, "_never_began", lambda _: lambda starts, orphans: set()),
    ),
    Mutation(
        "a step that may have begun uses up its try",
        replaced(recovery, "_never_began", _claims_nothing_began),
    ),
    Mutation("only live pods claim", replaced(pod, "check_may_claim", nothing)),
)
