"""Queues, the limits of an app's queues: ``app.queues.set("api", max_running=3)``."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

from msgspec import UNSET, UnsetType

from fleet_q.core.ports import Store
from fleet_q.core.queues import Queue, QueueChange, QueueEvent, checked
from fleet_q.core.rate import Rate, parse_rate
from fleet_q.core.submission import MAX_ID_LENGTH, check_queue
from fleet_q.services.app.views import precise, timestamp


@dataclass(frozen=True)
class QueueView:
    """The limits of a queue; ``None``: no limit. ``rate`` is written like ``100/min``."""

    queue: str
    max_running: int | None
    max_running_per_key: int | None
    rate: str | None
    paused: bool
    last_update_ts: str | None

    @classmethod
    def of(cls, queue: Queue) -> QueueView:
        """Make the view of ``queue``."""
        return cls(
            queue=queue.queue,
            max_running=queue.max_running,
            max_running_per_key=queue.max_running_per_key,
            rate=None if queue.rate is None else str(queue.rate),
            paused=queue.paused,
            last_update_ts=timestamp(queue.last_update_ts) if queue.version else None,
        )


@dataclass(frozen=True)
class QueueEventView:
    """A change of a queue's limits: who made it, when, and the limits after it."""

    version: int
    type: str
    at: str
    by: str | None
    max_running: int | None
    max_running_per_key: int | None
    rate: str | None
    paused: bool

    @classmethod
    def of(cls, event: QueueEvent) -> QueueEventView:
        """Make the view of ``event``."""
        count, period = event.rate_count, event.rate_period
        return cls(
            version=event.version,
            type=event.type,
            at=precise(event.event_ts),
            by=event.changed_by,
            max_running=event.max_running,
            max_running_per_key=event.max_running_per_key,
            rate=str(Rate(count, period)) if count is not None and period is not None else None,
            paused=event.paused,
        )


class Queues:
    """The limits of the queues in ``store()``. A change holds from the next claim of every pod on.

    ``by()`` names who makes a change. ``on_change`` is called after each.
    """

    def __init__(
        self, store: Callable[[], Store], by: Callable[[], str], on_change: Callable[[], object]
    ) -> None:
        self._store = store
        self._by = by
        self._on_change = on_change

    def all(self) -> list[QueueView]:
        """Return the queues that have, or had, limits, ordered by name."""
        return [QueueView.of(queue) for queue in self._store().queues()]

    def set(
        self,
        queue: str,
        *,
        max_running: int | UnsetType | None = UNSET,
        max_running_per_key: int | UnsetType | None = UNSET,
        rate: str | UnsetType | None = UNSET,
        paused: bool | UnsetType = UNSET,
    ) -> QueueView:
        """Change the limits that are given, ``None`` for no limit; return the queue.

        At most ``max_running`` steps of the queue are claimed at once in the whole fleet, and at
        most ``max_running_per_key`` of those with the same key. ``rate``, such as ``"100/min"``, is
        how many steps may be claimed over time: up to so many at once, if none were for a while. Of
        a queue that is ``paused``, no step is claimed; those that run go on. Raises
        :class:`InvalidInput`.
        """
        new_rate = rate if rate is None or rate is UNSET else parse_rate(rate)
        change = QueueChange(max_running, max_running_per_key, new_rate, paused)
        return self._set(queue, checked(change))

    def pause(self, queue: str) -> QueueView:
        """Let no step of the queue be claimed until it is resumed; those that run go on."""
        return self._set(queue, QueueChange(paused=True))

    def resume(self, queue: str) -> QueueView:
        """Let steps of the queue be claimed again, within its limits."""
        return self._set(queue, QueueChange(paused=False))

    def history(self, queue: str) -> list[QueueEventView]:
        """Return the changes of the queue's limits, oldest first."""
        history = self._store().queue_history(check_queue(queue))
        return [QueueEventView.of(event) for event in history]

    def _set(self, queue: str, change: QueueChange) -> QueueView:
        view = QueueView.of(self._store().set_queue(check_queue(queue), change, self._by()))
        self._on_change()
        return view


def user() -> str:
    """Name the user of this process and its machine, as ``user@host``, in a text that every store
    accepts, whatever the environment says."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):  # the user has no name, as in some containers
        name = f"uid {os.getuid()}"
    text = "".join(letter if letter.isprintable() else "?" for letter in name)
    return f"{text[:MAX_ID_LENGTH]}@{socket.gethostname()}"
