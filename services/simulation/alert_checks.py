"""Checks of alerts: each is told once when it begins and once when it is over, and none is
forgotten."""

from __future__ import annotations

from typing import Final

from fleet_q.core.alerts import DEAD_LETTERS, Alert
from fleet_q.services.simulation.records import Records, require

PROMISE: Final = "alerts are told once"

APART: Final = 50 * 1_000_000
"""Microseconds between two tries to send an alert, at least, of pods that are not held up."""

HELD_UP: Final = 5 * 1_000_000
"""Microseconds from reading the alerts to writing one after which a pod was held up."""

Notice = tuple[str, int, str]
"""An alert, since when it is raised, and its status: what is told once."""


class AlertChecks:
    """Checks every write of an alert, and what the receiver gets."""

    def __init__(self, records: Records) -> None:
        self.rows: dict[str, Alert] = {}
        self._records = records
        self._began_at: int | None = None  # true time of the first look
        self._tried_at: dict[Notice, int] = {}  # the last try of a pod that was not held up
        self._accepted: set[Notice] = set()
        # When alerts for dead letters were over, by the time at which they were raised.
        self._over_at: dict[int, int | None] = {}

    def written(self, name: str, row: Alert | None, store_time: int) -> None:
        """Check a write, at ``store_time``. Raises :class:`Violation`."""
        before = self.rows.get(name)
        if row is None:
            require(
                before is not None and before.send_ts is None and before.status == "resolved",
                PROMISE, name, "was deleted before it was over and told",
            )  # fmt: skip
            self.rows.pop(name, None)
            return
        require(
            row.version == (1 if before is None else before.version + 1),
            PROMISE, name, "was written by one who had not read it as it was",
        )  # fmt: skip
        self.rows[name] = row
        now, notice = self._records.now(), _notice(row)
        if name == DEAD_LETTERS:
            self._began_at = self._began_at or now
            if row.since_ts:
                self._over_at[row.since_ts] = now if row.status == "resolved" else None
        if before is None or _notice(before) != notice:
            return
        if before.send_ts is None:
            require(row.send_ts is None, PROMISE, name, "is sent again although it was told")
        elif row.send_ts is None:
            require(notice in self._accepted, PROMISE, name, "counts as told and was not")
        elif row.tries > before.tries:
            self._check_try(notice, now, is_held_up=store_time - row.last_update_ts > HELD_UP)

    def received(self, alert: Alert) -> None:
        """The receiver has accepted an alert."""
        self._accepted.add(_notice(alert))

    def first_forgotten(self) -> str | None:
        """The first alert that was not told, or dead letter without an alert."""
        for name, row in self.rows.items():
            if row.send_ts is not None:
                return name
        if self._began_at is None:
            return None
        ends = [end for end in self._over_at.values() if end is not None]
        last_end = max(ends, default=0)
        is_raised = any(end is None for end in self._over_at.values())
        if is_raised:
            return None
        after = max(last_end, self._began_at)
        steps = self._records.steps.items()
        return next((i for i, r in steps if r.status == "failed" and r.changed > after), None)

    def _check_try(self, notice: Notice, now: int, *, is_held_up: bool) -> None:
        before = self._tried_at.pop(notice, None)
        if before is not None and self._records.clock_set_at < before:
            require(now - before >= APART, PROMISE, notice[0], "was sent by two pods at once")
        if not is_held_up:
            self._tried_at[notice] = now


def _notice(row: Alert) -> Notice:
    return row.alert, row.since_ts, row.status
