"""The leader's look for alerts: read the store, write what has changed, and hand over what is to be
sent.

It may be interrupted after any store call, repeated, or run by two pods at once: each write is made
only if the row has not changed since it was read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from fleet_q.core.alerts import (
    DEAD_LETTERS,
    READ_AT_ONCE,
    Alert,
    AlertRules,
    DeadLetter,
    Found,
    Waiting,
    claimed,
    is_to_send,
    judge,
    told,
)
from fleet_q.core.calls import Calls, call
from fleet_q.core.ports import Store
from fleet_q.core.queue_stats import SHORTEST_SPAN
from fleet_q.core.step import Step
from fleet_q.core.unserved import unserved_among

MOST_ROUNDS: Final = 5
"""How often the alerts are read again because another pod has changed one meanwhile."""


def look_for_alerts(
    rules: AlertRules, dead_after: int, send: Callable[[Alert], object]
) -> Calls[None]:
    """Raise alerts, and end those that are over. ``send`` is called with each that this pod has to
    send now, and must not wait. ``dead_after`` is the dead-pod threshold in microseconds."""
    listed = yield from call(Store.alerts)
    rows = {row.alert: row for row in listed.alerts}
    found = yield from _look(rows.get(DEAD_LETTERS), dead_after)
    for before, after in judge(listed.alerts, found, rules):
        if not (yield from call(Store.write_alert, before, after)):
            return  # another leader looks, too
        if after is not None:
            rows[after.alert] = after
        elif before is not None:
            del rows[before.alert]
    for row in rows.values():
        if is_to_send(row, found.at):
            ours = claimed(row, found.at)
            if (yield from call(Store.write_alert, row, ours)):
                send(ours)


def record_told(sent: Alert) -> Calls[None]:
    """Record that the receiver has accepted an alert, unless it says something else by now."""
    for _ in range(MOST_ROUNDS):
        listed = yield from call(Store.alerts)
        row = next((row for row in listed.alerts if row.alert == sent.alert), None)
        after = None if row is None else told(row, sent, listed.at)
        if after is None or (yield from call(Store.write_alert, row, after)):
            return


def _look(row: Alert | None, dead_after: int) -> Calls[Found]:
    stats = yield from call(Store.queue_stats, SHORTEST_SPAN)
    newest = (yield from call(Store.dead_letters, 1)).steps
    if row is not None and newest and _place(newest[0]) > row.details.place:
        newest = (yield from call(Store.dead_letters, READ_AT_ONCE)).steps
    due = [
        (steps.queue, steps.task_type, steps.oldest)
        for steps in stats.types
        if steps.oldest is not None and not steps.is_paused
    ]
    pairs = [(queue, task_type) for queue, task_type, _ in due]
    unserved = yield from unserved_among(pairs, dead_after)
    waiting = [Waiting(*steps, (steps[0], steps[1]) not in unserved) for steps in due]
    schedules = (yield from call(Store.schedules)).schedules
    return Found(stats.at, stats.counts["failed"], _letters(newest), waiting, schedules)


def _place(step: Step) -> tuple[int, str]:
    return step.last_update_ts, step.step_id


def _letters(steps: Sequence[Step]) -> list[DeadLetter]:
    return [
        DeadLetter(step.last_update_ts, step.step_id, step.queue, step.task_type) for step in steps
    ]
