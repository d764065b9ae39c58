"""Pods: their state, their commands, and the pure functions ``decide`` and ``evolve``."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from fleet_q.core import events as ev
from fleet_q.core.effects import json_text_or_none
from fleet_q.core.errors import CorruptLog, IllegalTransition, IncarnationEnded
from fleet_q.core.events import Event, PodEvent, PodFact
from fleet_q.core.lifecycle import POD, PodStatus
from fleet_q.core.routing import Routes


class PodDescription(msgspec.Struct, frozen=True):
    """What a pod tells the fleet about itself when it joins.

    ``version`` is that of the application, if it is known, ``slots`` how many steps the pod holds
    at once, prefetched ones apart, and ``queues`` and ``task_types`` are its
    :class:`~fleet_q.core.routing.Routes` at that time.
    """

    host: str
    version: str | None
    slots: int
    queues: tuple[str, ...] | None = None
    task_types: tuple[str, ...] | None = None

    @property
    def routes(self) -> Routes:
        """Which steps the pod may take."""
        return Routes(self.queues, self.task_types)

    @property
    def text(self) -> str:
        """The description as JSON."""
        return str(msgspec.json.encode(self), "utf-8")


class Pod(msgspec.Struct, frozen=True):
    """A pod: a row of ``POD_HEALTH``, which describes the newest incarnation under this id.

    ``description`` is a :class:`PodDescription` as JSON; ``None`` if it was not told, or not read.
    """

    pod_id: str
    status: PodStatus
    birth_ts: int
    last_heartbeat_ts: int
    incarnation: str
    version: int = 1
    description: str | None = None

    @property
    def described(self) -> PodDescription | None:
        """What the pod told when it joined; ``None`` if that is not known or not understood."""
        if self.description is None:
            return None
        try:
            return _decode_description(self.description)
        except msgspec.MsgspecError:
            return None

    def is_live(self, at: int, dead_after: int) -> bool:
        """Whether the pod is asleep, or is not down and its last heartbeat is less than
        ``dead_after`` microseconds from ``at``. A heartbeat further in the future was sent before
        the clock was set back, so it does not count. A pod that is asleep sends none."""
        if self.status in ("down", "asleep"):
            return self.status == "asleep"
        return abs(at - self.last_heartbeat_ts) < dead_after


_decode_description = msgspec.json.Decoder(PodDescription).decode


def seniority(pod: Pod) -> tuple[int, str]:
    """Sort key of the fleet: oldest first, then by id for a total order."""
    return (pod.birth_ts, pod.pod_id)


class Join(msgspec.Struct, frozen=True):
    """Join the fleet as a new incarnation; it ends the earlier one under the same id.
    ``description``: see :class:`Pod`."""

    pod_id: str
    incarnation: str
    description: str | None = None


class SendHeartbeat(msgspec.Struct, frozen=True):
    """Record that the incarnation is alive and awake. It is an event only if the pod was asleep."""

    pod_id: str
    incarnation: str


class Sleep(msgspec.Struct, frozen=True):
    """Record that the incarnation holds no steps and sends no heartbeats until it wakes."""

    pod_id: str
    incarnation: str


class Drain(msgspec.Struct, frozen=True):
    """Record that the incarnation claims no more steps."""

    pod_id: str
    incarnation: str


class Leave(msgspec.Struct, frozen=True):
    """End the incarnation after a shutdown."""

    pod_id: str
    incarnation: str


class DeclareDead(msgspec.Struct, frozen=True):
    """End an incarnation whose heartbeats have stopped. ``version`` and ``last_heartbeat_ts`` are
    those of the observed row; if the row has changed since, the command does nothing."""

    pod_id: str
    incarnation: str
    version: int
    last_heartbeat_ts: int


PodCommand = Join | SendHeartbeat | Sleep | Drain | Leave
AnyPodCommand = PodCommand | DeclareDead
PodChange = tuple[PodEvent | None, Pod]
"""A pod after a command, and its event; ``None`` for a heartbeat, which is not an event."""


def change(
    pod: Pod | None, command: AnyPodCommand, at: int, by: str | None = None
) -> PodChange | None:
    """Apply ``command`` to the pod at store time ``at``; ``None`` if it changes nothing. Raises
    what :func:`decide` raises."""
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
    """The event that ``command`` causes at store time ``at``.

    ``None`` if the command has already been applied, is a heartbeat of a pod that is awake, or
    declares a pod dead whose row has changed. Raises :class:`IncarnationEnded` if the command's
    incarnation is not the current one or is down, and :class:`IllegalTransition` if the lifecycle
    does not allow the event.
    """
    fact: PodFact
    if isinstance(command, Join):
        if pod is not None and pod.incarnation == command.incarnation:
            if pod.status == "down":
                raise IncarnationEnded(command.pod_id, superseded=False)
            return None
        version = 1 if pod is None else pod.version + 1
        text = command.description
        joined = ev.Joined(command.incarnation, None if text is None else Raw(text.encode()))
        return Event(command.pod_id, version, at, by, joined)
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
            if not POD.allows(
                pod.status, "declared_dead"
            ):  # it is down, or asleep and so holds no steps
                return None
            fact = ev.DeclaredDead(command.incarnation)
    if pod.status == "down":
        raise IncarnationEnded(command.pod_id, superseded=False)
    POD.after(pod.status, fact.type, pod.pod_id)
    return Event(pod.pod_id, pod.version + 1, at, by, fact)


def evolve(pod: Pod | None, event: PodEvent) -> Pod:
    """The pod after ``event``. Raises :class:`CorruptLog` if the event is not the next one of its
    stream, and :class:`IllegalTransition` if the lifecycle does not allow it."""
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
            description=json_text_or_none(fact.description),
        )
    if pod is None:
        raise CorruptLog(f"pod {event.stream!r} has no joined event at version 1")
    pod = replace(pod, status=POD.after(pod.status, fact.type, pod.pod_id), version=event.version)
    if isinstance(fact, ev.Slept | ev.Woke | ev.Draining):
        return replace(pod, last_heartbeat_ts=event.at)
    return pod


def check_may_claim(pod: Pod | None, pod_id: str, incarnation: str) -> None:
    """Check that the incarnation may claim steps: it is current, not down and not asleep.

    A pod that is asleep sends no heartbeats, so nobody would notice if it died with steps. Raises
    :class:`IncarnationEnded` or, if it is asleep, :class:`IllegalTransition`.
    """
    status = _current(pod, pod_id, incarnation).status
    if status == "down":
        raise IncarnationEnded(pod_id, superseded=False)
    if status == "asleep":
        raise IllegalTransition("pod", "given steps", status, pod_id)


def check_joined(pod: Pod | None, pod_id: str, incarnation: str) -> None:
    """Check that the incarnation has joined and lives. Raises :class:`IncarnationEnded`, as if
    superseded if it has not joined: then another process of the pod joined later."""
    if pod is None or pod.incarnation != incarnation:
        raise IncarnationEnded(pod_id, superseded=True)
    if pod.status == "down":
        raise IncarnationEnded(pod_id, superseded=False)


def _is_as_observed(pod: Pod | None, command: DeclareDead) -> bool:
    observed = (command.incarnation, command.version, command.last_heartbeat_ts)
    return pod is not None and (pod.incarnation, pod.version, pod.last_heartbeat_ts) == observed


def _current(pod: Pod | None, pod_id: str, incarnation: str) -> Pod:
    if pod is None or pod.incarnation != incarnation:
        raise IncarnationEnded(pod_id, superseded=pod is not None)
    return pod


def fold(history: Iterable[PodEvent]) -> Pod | None:
    """The pod after all events of its history; ``None`` for an empty history."""
    pod: Pod | None = None
    for event in history:
        pod = evolve(pod, event)
    return pod
