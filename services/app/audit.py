"""Audit, the method of an app that tells what happened in its fleet, and who did it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from fleet_q.core.errors import InvalidInput
from fleet_q.core.log import LogEntry, LogFilter, StreamKind
from fleet_q.core.submission import check_id
from fleet_q.services.app.base import AppBase
from fleet_q.services.app.search import Moment, micros_of
from fleet_q.services.app.views import precise

LONGEST_AUDIT: Final = 1_000
"""The most entries of a page."""


@dataclass(frozen=True)
class AuditEntry:
    """What happened ``at`` a time to a step, a queue, a schedule or a pod, and ``by`` whom, as in
    :class:`fleet_q.services.app.views.EventView`. ``queue`` and ``task_type`` are those of a step,
    ``error`` is the first line of its error."""

    at: str
    type: str
    by: str | None
    of: StreamKind
    name: str
    version: int
    queue: str | None
    task_type: str | None
    error: str | None

    @classmethod
    def from_log(cls, entry: LogEntry) -> AuditEntry:
        """Make the view of ``entry``."""
        return cls(
            at=precise(entry.at),
            type=entry.type,
            by=entry.by,
            of=entry.stream,
            name=entry.name,
            version=entry.version,
            queue=entry.queue,
            task_type=entry.task_type,
            error=next(iter((entry.error or "").splitlines()), None),
        )


@dataclass(frozen=True)
class AuditView:
    """What happened, in order of time. ``cursor`` continues the list; ``None``: it is complete."""

    entries: list[AuditEntry]
    cursor: str | None


class Audit(AppBase):
    """The method of an app about the log of its fleet."""

    def audit(
        self,
        *,
        since: Moment | None = None,
        until: Moment | None = None,
        by: str | None = None,
        step_id: str | None = None,
        queue: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
        newest_first: bool = True,
    ) -> AuditView:
        """Return up to ``limit`` entries of the log, the latest first, or with ``newest_first``
        false the oldest: of what happened at ``since`` or later and before ``until``, each a time,
        or how long ago that was; of what ``by`` has done; of a step; of a queue and its steps.

        What was pruned is gone from the log, too. Raises :class:`InvalidInput`.
        """
        if type(limit) is not int or not 1 <= limit <= LONGEST_AUDIT:
            raise InvalidInput(f"limit must be between 1 and {LONGEST_AUDIT}, not {limit!r}")
        now = time.time()
        selected = LogFilter(
            since=None if since is None else micros_of(since, "since", now),
            until=None if until is None else micros_of(until, "until", now),
            by=None if by is None else check_id(by, "by"),
            step_id=None if step_id is None else check_id(step_id, "step_id"),
            queue=None if queue is None else check_id(queue, "queue"),
            newest_first=newest_first,
        )
        page = self.store.log(selected, limit, cursor)
        return AuditView([AuditEntry.from_log(entry) for entry in page.entries], page.cursor)
