"""A pod's life: the only place where one may change; the shape is that of a step's."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from fleet_q.core import events as ev
from fleet_q.core.errors import CorruptLog, IllegalTransition, IncarnationEnded
from fleet_q.core.events import Event, PodEvent, PodFact
from fleet_q.core.lifecycle import POD, PodStatus


class Pod(msgspec.Struct, frozen=True):
    """A pod, as a row of ``POD_HEALTH`` has it: the newest incarnation under its id."""

    pod_id: str
    status: PodStatus
    birth_ts: int
    last_heartbeat_ts: int
    incarnation: str
    version: int = 1

    def is_live(self, at: int, dead_after: int) -> bool:
        """Whether it has not ended and its last heartbeat is less than ``dead_after`` µs away. One
        from further in the future was sent before the clock was set back, and proves nothing. A
        pod that sleeps holds nothing and sends none; it is taken at its word."""
        if self.status in ("down", "asleep"):
            return self.status == "asleep"
        return abs(at - self.last_heartbeat_ts) < dead_after


class Join(msgspec.Struct, frozen=True):
    """Begin to live as a new incarnation; an earlier one under the same id ends with it."""

    pod_id: str
    incarnation: str


class SendHeartbeat(msgspec.Struct, frozen=True):
    """Say that the incarnation lives, and is awake. Only if it was asleep, that is an event."""

    pod_id: str
    incarnation: str


class Sleep(msgspec.Struct, frozen=True):
    """Say that the incarnation holds nothing, and sends no heartbeat until it wakes."""

    pod_id: str
    incarnation: str


class Drain(msgspec.Struct, frozen=True):
    """Say that the incarnation takes no new steps."""

    pod_id: str
    incarnation: str


class Leave(msgspec.Struct, frozen=True):
    """End the incarnation in good order."""

    pod_id: str
    incarnation: str


class DeclareDead(msgspec.Struct, frozen=True):
    """End an incarnation that was observed to be silent. ``version`` and ``last_heartbeat_ts`` are
    those of the row that did not change; if one has changed since, nothing happens."""

    pod_id: str
    incarnation: str
    version: int
    last_heartbeat_ts: int


PodCommand = Join | SendHeartbeat | Sleep | Drain | Leave
AnyPodCommand = PodCommand | DeclareDead
PodChange = tuple[PodEvent | None, Pod]
"""A pod after a command, and the event that led to it; a heartbeat is none."""


def change(
    pod: Pod | None, command: AnyPodCommand, at: int, by: str | None = None
) -> PodChange | None:
    """What ``command`` makes of the pod at store time ``at``; ``None`` if that is nothing new.
    Raises what :func:`decide` raises."""
    event = decide(pod, command, at, by)
    if event is not None:
        return event, evolve(pod, event)
    if isinstance(command, SendHeartbeat):
        assert pod is not None
        return None, replace(pod, last_heartbeat_ts=at)
    return None


def decide(
    pod: Pod | None, command: AnyPodCommand, at: int, by: str | None = None
) -> PodEvent | None:
    """The event that ``command`` leads to at store time ``at``; ``None`` if it has been done, if
    it is a heartbeat of a pod that is awake, or if a pod to be declared dead has been heard of.

    Raises :class:`IncarnationEnded` if the command's incarnation is not the living one, and
    :class:`IllegalTransition` if the lifecycle forbids it.
    """
    fact: PodFact
    if isinstance(command, Join):
        if pod is not None and pod.incarnation == command.incarnation:
            if pod.status == "down":
                raise IncarnationEnded(command.pod_id, superseded=False)
            return None
        version = 1 if pod is None else pod.version + 1
        return Event(command.pod_id, version, at, by, ev.Joined(command.incarnation))
    if isinstance(command, DeclareDead) and not _is_as_observed(pod, command):
        return None
    pod = _current(pod, command.pod_id, command.incarnation)
    match command:
        case SendHeartbeat():
            if pod.status in ("up", "draining"):
                return None
            fact = ev.Woke(command.incarnation)
        case Sleep():
            if pod.status == "asleep":
                return None
            fact = ev.Slept(command.incarnation)
        case Drain():
            if pod.status == "draining":
                return None
            fact = ev.Draining(command.incarnation)
        case Leave():
            if pod.status == "down":
                return None
            fact = ev.Left(command.incarnation)
        case DeclareDead():
            if not POD.allows(pod.status, "declared_dead"):  # it has ended, or holds nothing
                return None
            fact = ev.DeclaredDead(command.incarnation)
    if pod.status == "down":
        raise IncarnationEnded(command.pod_id, superseded=False)
    POD.after(pod.status, fact.type, pod.pod_id)
    return Event(pod.pod_id, pod.version + 1, at, by, fact)


def evolve(pod: Pod | None, event: PodEvent) -> Pod:
    """What ``event`` makes of ``pod``. Raises :class:`CorruptLog` if its version cannot come next,
    :class:`IllegalTransition` if the lifecycle forbids it."""
    fact = event.fact
    if event.version != (1 if pod is None else pod.version + 1):
        raise CorruptLog(f"pod {event.stream!r} has a gap before version {event.version}")
    if isinstance(fact, ev.Joined):
        return Pod(
            pod_id=event.stream,
            status=POD.initial if pod is None else POD.after(pod.status, fact.type),
            birth_ts=event.at,
            last_heartbeat_ts=event.at,
            incarnation=fact.incarnation,
            version=event.version,
        )
    if pod is None:
        raise CorruptLog(f"pod {event.stream!r} does not begin by joining")
    pod = replace(pod, status=POD.after(pod.status, fact.type, pod.pod_id), version=event.version)
    if isinstance(fact, ev.Slept | ev.Woke | ev.Draining):
        return replace(pod, last_heartbeat_ts=event.at)
    return pod


def check_may_claim(pod: Pod | None, pod_id: str, incarnation: str) -> None:
    """Only a living incarnation may claim, and only awake: nobody would miss one that sleeps.

    Raises :class:`IncarnationEnded` if it has ended, :class:`IllegalTransition` if it sleeps.
    """
    status = _current(pod, pod_id, incarnation).status
    if status == "down":
        raise IncarnationEnded(pod_id, superseded=False)
    if status == "asleep":
        raise IllegalTransition("pod", "given steps", status, pod_id)


def _is_as_observed(pod: Pod | None, command: DeclareDead) -> bool:
    observed = (command.incarnation, command.version, command.last_heartbeat_ts)
    return pod is not None and (pod.incarnation, pod.version, pod.last_heartbeat_ts) == observed


def _current(pod: Pod | None, pod_id: str, incarnation: str) -> Pod:
    if pod is None or pod.incarnation != incarnation:
        raise IncarnationEnded(pod_id, superseded=pod is not None)
    return pod


def fold(history: Iterable[PodEvent]) -> Pod | None:
    """The state that a pod's whole history adds up to."""
    pod: Pod | None = None
    for event in history:
        pod = evolve(pod, event)
    return pod
