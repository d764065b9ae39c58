"""The leader's firing of schedules: submit the steps whose times have come.

It may be interrupted after any store call, repeated, or run by two pods at once: each write is made
only if the schedule has not changed since it was read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from fleet_q.core import schedules
from fleet_q.core.calls import Calls, call
from fleet_q.core.errors import StoreUnavailable
from fleet_q.core.ports import Store
from fleet_q.core.schedules import Calendar, Definition, Schedule

MOST_ROUNDS: Final = 5
"""How often the schedules are read again because another pod has changed one meanwhile."""


class FiringStats(msgspec.Struct):
    """What one run did: how many steps it submitted, and the schedules that it could not fire.

    ``at`` is the store's time at which it read the schedules last, ``next_firing`` when the next
    one is to be looked at; ``None``: there is none.
    """

    submitted: int = 0
    failed: int = 0
    at: int = 0
    next_firing: int | None = None


def fire_due(
    calendar: Calendar,
    by: str | None,
    stats: FiringStats,
    on_failed: Callable[[str, Exception], object],
    declared: Sequence[Definition] = (),
) -> Calls[None]:
    """Put the schedules that the code of a pod has ``declared``, and fire all that are due.

    ``by`` is the acting pod; ``stats`` is updated meanwhile. ``on_failed`` is called with the name
    of a schedule that cannot be put or fired; the others are all the same. Raises
    ``StoreUnavailable``.
    """
    if declared:
        yield from _put(declared, calendar, by, stats, on_failed)
    for _ in range(MOST_ROUNDS):
        listed = yield from call(Store.schedules)
        stats.at = listed.at
        is_current = True
        rows: list[Schedule] = []
        for row in listed.schedules:
            while schedules.is_due(row, listed.at):
                last_status = listed.last_statuses.get(row.last_step_id or "")
                try:
                    write = schedules.fire(row, last_status, listed.at, calendar)
                    is_written = yield from call(Store.write_schedule, write, by)
                except StoreUnavailable:
                    raise
                except Exception as error:
                    stats.failed += 1
                    on_failed(row.schedule, error)
                    break
                if not is_written:
                    is_current = False
                    break
                stats.submitted += len(write.steps)
                row = write.after
                listed.last_statuses.update((step.step_id, "pending") for step in write.steps)
            rows.append(row)
        stats.next_firing = min(
            (row.next_ts for row in rows if row.next_ts is not None), default=None
        )
        if is_current:
            return


def _put(
    declared: Sequence[Definition],
    calendar: Calendar,
    by: str | None,
    stats: FiringStats,
    on_failed: Callable[[str, Exception], object],
) -> Calls[None]:
    for _ in range(MOST_ROUNDS):
        listed = yield from call(Store.schedules)
        rows = {row.schedule: row for row in listed.schedules}
        changed_by_others: list[Definition] = []
        for definition in declared:
            name = definition.schedule
            try:
                write = schedules.put(rows.get(name), definition, listed.at, by, calendar)
                if write is not None and not (yield from call(Store.write_schedule, write, by)):
                    changed_by_others.append(definition)
            except StoreUnavailable:
                raise
            except Exception as error:
                stats.failed += 1
                on_failed(name, error)
        if not changed_by_others:
            return
        declared = changed_by_others
