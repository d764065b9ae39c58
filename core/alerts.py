"""Alerts: what a person should know of the fleet, each told once when it begins and once when it is
over.

The leader looks for them. Each is a row, so a new leader knows what was told. A row names when it
is to be sent. Who sends it first moves that time on, if the row has not changed, so that of two
leaders one sends. Only if a pod dies after the receiver has answered, and before that is recorded,
is the same alert sent again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal, get_args

import msgspec
from msgspec.structs import replace

from fleet_q.core.rate import MICROS
from fleet_q.core.schedules import Schedule

AlertKind = Literal["dead_letters", "unserved", "oldest", "schedule"]
AlertStatus = Literal["raised", "resolved"]

ALERT_KINDS: Final[tuple[AlertKind, ...]] = get_args(AlertKind)
DEAD_LETTERS: Final = "dead_letters"

READ_AT_ONCE: Final = 20
"""The most dead letters that are read to count the new ones; more are counted by their number."""

RETRY_BASE: Final = 60 * MICROS
"""Microseconds until an alert is sent again that the receiver has not accepted; doubled for every
further try. A delivery ends sooner, see :mod:`fleet_q.services.worker.alert_sender`."""

RETRY_MAX: Final = 3_600 * MICROS

KEPT_FOR: Final = 30 * 86_400 * MICROS
"""For how many microseconds an alert that is over is listed."""


class AlertDetail(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an alert is about, in the words of its kind.

    - ``queue``, ``task_type``: the steps; ``schedule``: the schedule.
    - ``count``: how many dead letters there were, or times at which a schedule was skipped.
    - ``step_id``: the newest dead letter.
    - ``from_ts``: since when the oldest step waits, or when a schedule should have fired.
    - ``last_ts``: when the newest dead letter was found, or the schedule fired last.
    - ``total``, ``seen_ts``, ``seen_id``, ``skipped``: what the next look compares with.
    """

    queue: str | None = None
    task_type: str | None = None
    schedule: str | None = None
    count: int = 0
    step_id: str | None = None
    from_ts: int | None = None
    last_ts: int | None = None
    total: int = 0
    seen_ts: int = 0
    seen_id: str = ""
    skipped: int = 0

    @property
    def place(self) -> tuple[int, str]:
        """The newest dead letter that was seen, by its time and id."""
        return self.seen_ts, self.seen_id


class Alert(msgspec.Struct, frozen=True):
    """A row of ``ALERTS``.

    ``alert`` is its kind and, after a colon, what it is about. It was ``raised`` at ``since_ts``.
    ``send_ts`` is when it is to be sent next, after so many ``tries``; ``None``: it was told.
    ``detail`` is :class:`AlertDetail` as JSON. Each write raises ``version``.
    """

    alert: str
    status: AlertStatus = "resolved"
    since_ts: int = 0
    send_ts: int | None = None
    tries: int = 0
    detail: str = "{}"
    version: int = 0
    last_update_ts: int = 0

    @property
    def kind(self) -> str:
        """What kind of alert it is; that of a newer version may be unknown."""
        return self.alert.partition(":")[0]

    @property
    def details(self) -> AlertDetail:
        """The detail, as far as this version knows it."""
        return msgspec.json.decode(self.detail, type=AlertDetail)


class AlertList(msgspec.Struct, frozen=True):
    """All alerts, ordered by name, read at store time ``at``."""

    at: int
    alerts: tuple[Alert, ...]


class AlertRules(msgspec.Struct, frozen=True):
    """When alerts are raised, in microseconds.

    - ``oldest``: the oldest due step of a queue waits for so long.
    - ``after``: steps are unserved, or a schedule is late, for so long; and for so long no further
      dead letter follows until that alert is over.
    """

    oldest: int
    after: int


class DeadLetter(msgspec.Struct, frozen=True):
    """What an alert tells of a failed step: its id, queue and task type, and when it failed."""

    failed_ts: int
    step_id: str
    queue: str
    task_type: str


class Waiting(msgspec.Struct, frozen=True):
    """The steps of a queue and task type of which the oldest is due since ``oldest``; ``is_served``
    tells whether a live pod takes them."""

    queue: str
    task_type: str
    oldest: int
    is_served: bool


class Found(msgspec.Struct, frozen=True):
    """What a look at the store has found at store time ``at``: the number of failed steps, the
    newest of them, newest first, what waits in queues that are not paused, and all schedules."""

    at: int
    failed: int
    newest: Sequence[DeadLetter]
    waiting: Sequence[Waiting]
    schedules: Sequence[Schedule]


Write = tuple[Alert | None, Alert | None]
"""A row as it is, and as it becomes; ``None``: there is no row."""


def judge(rows: Iterable[Alert], found: Found, rules: AlertRules) -> list[Write]:
    """The writes that follow from what was found. The first look of a fleet raises no alert for
    dead letters that there are, or for what schedules have skipped."""
    by_name = {row.alert: row for row in rows}
    is_first = DEAD_LETTERS not in by_name
    seen: set[str] = {DEAD_LETTERS}
    writes = [_dead_letters(by_name.get(DEAD_LETTERS), found, rules)]
    for name, detail in _levels(found, rules):
        seen.add(name)
        writes.append(_level(by_name.get(name), name, detail, found.at))
    for schedule in found.schedules:
        name = f"schedule:{schedule.schedule}"
        seen.add(name)
        writes.append(_schedule(by_name.get(name), name, schedule, found, rules, is_first))
    for name, row in by_name.items():
        if name not in seen and row.kind in ALERT_KINDS:
            writes.append(_over(row, found.at))
    return [write for write in writes if write is not None]


def claimed(row: Alert, at: int) -> Alert:
    """The row once a pod sends it at store time ``at``: no other does until it may have failed."""
    wait = min(RETRY_BASE << min(row.tries, 20), RETRY_MAX)
    return _changed(row, at, send_ts=at + wait, tries=row.tries + 1)


def is_to_send(row: Alert, at: int) -> bool:
    """Whether the row is to be sent at store time ``at``. A time that lies further ahead than any
    retry was written before the clock was set back."""
    return row.send_ts is not None and not at < row.send_ts <= at + RETRY_MAX


def told(row: Alert, sent: Alert, at: int) -> Alert | None:
    """The row once the receiver has accepted ``sent``; ``None`` if it says something else now, or
    is told already."""
    is_same = (row.since_ts, row.status) == (sent.since_ts, sent.status)
    return _changed(row, at, send_ts=None, tries=0) if is_same and row.send_ts is not None else None


def _changed(row: Alert, at: int, **changes: object) -> Alert:
    return replace(row, version=row.version + 1, last_update_ts=at, **changes)


def _with_detail(row: Alert, detail: AlertDetail, at: int, **changes: object) -> Alert:
    return _changed(row, at, detail=msgspec.json.encode(detail).decode(), **changes)


def _dead_letters(row: Alert | None, found: Found, rules: AlertRules) -> Write | None:
    at, newest = found.at, found.newest[0] if found.newest else None
    if row is None:
        detail = AlertDetail(total=found.failed)
        return None, _with_detail(Alert(DEAD_LETTERS), _with_newest(detail, newest), at)
    before = row.details
    new = [each for each in found.newest if (each.failed_ts, each.step_id) > before.place]
    # The number also tells of those that were committed late, or after the clock was set back.
    count = max(len(new), found.failed - before.total)
    detail = replace(before, total=found.failed)
    if count > 0:
        # The newest are read after the number, which may lack some of them.
        detail = replace(detail, total=max(found.failed, before.total + count))
        if newest is not None:
            detail = _with_newest(detail, newest)
        if row.status == "raised":
            detail = replace(detail, count=before.count + count, last_ts=at)
            return row, _with_detail(row, detail, at)
        detail = replace(detail, count=count, from_ts=at, last_ts=at)
        return row, _with_detail(row, detail, at, status="raised", since_ts=at, send_ts=at, tries=0)
    if row.status == "raised" and _has_passed(before.last_ts or 0, rules.after, at):
        return row, _with_detail(row, detail, at, status="resolved", send_ts=at, tries=0)
    return (row, _with_detail(row, detail, at)) if detail != before else None


def _with_newest(detail: AlertDetail, newest: DeadLetter | None) -> AlertDetail:
    if newest is None:
        return detail
    seen_ts, seen_id = max(detail.place, (newest.failed_ts, newest.step_id))
    return replace(
        detail,
        seen_ts=seen_ts,
        seen_id=seen_id,
        step_id=newest.step_id,
        queue=newest.queue,
        task_type=newest.task_type,
    )


def _levels(found: Found, rules: AlertRules) -> Iterator[tuple[str, AlertDetail]]:
    """The alerts that hold now, of those that do as long as something lasts."""
    oldest: dict[str, Waiting] = {}
    for steps in found.waiting:
        if not steps.is_served:
            if _has_passed(steps.oldest, rules.after, found.at):
                detail = AlertDetail(steps.queue, steps.task_type, from_ts=steps.oldest)
                yield f"unserved:{steps.queue}/{steps.task_type}", detail
        elif _has_passed(steps.oldest, rules.oldest, found.at):
            earlier = oldest.get(steps.queue)
            if earlier is None or steps.oldest < earlier.oldest:
                oldest[steps.queue] = steps
    for queue, steps in oldest.items():
        yield f"oldest:{queue}", AlertDetail(queue, steps.task_type, from_ts=steps.oldest)


def _level(row: Alert | None, name: str, detail: AlertDetail, at: int) -> Write | None:
    if row is not None and row.status == "raised":
        return None
    raised = _with_detail(
        row or Alert(name), detail, at, status="raised", since_ts=at, send_ts=at, tries=0
    )
    return row, raised


def _schedule(
    row: Alert | None,
    name: str,
    schedule: Schedule,
    found: Found,
    rules: AlertRules,
    is_first: bool,
) -> Write | None:
    at, before = found.at, AlertDetail() if row is None else row.details
    next_ts = schedule.next_ts if schedule.status == "active" else None
    is_late = next_ts is not None and _has_passed(next_ts, rules.after, at)
    skipped = schedule.skipped - before.skipped
    if row is None and is_first:  # what it has skipped before
        detail = AlertDetail(schedule=schedule.schedule, skipped=schedule.skipped)
        return (None, _with_detail(Alert(name), detail, at)) if schedule.skipped else None
    if row is not None and row.status == "raised":
        detail = before
        if skipped > 0:
            detail = replace(before, skipped=schedule.skipped, count=before.count + skipped)
            return row, _with_detail(row, detail, at)
        has_fired = before.count == 0 or schedule.last_ts != before.last_ts
        if not is_late and (has_fired or schedule.status != "active"):
            return row, _changed(row, at, status="resolved", send_ts=at, tries=0)
        return None
    if not is_late and skipped <= 0:
        return None
    detail = AlertDetail(
        schedule=schedule.schedule,
        count=max(skipped, 0),
        from_ts=next_ts if is_late else at,
        last_ts=schedule.last_ts,
        skipped=schedule.skipped,
    )
    raised = _with_detail(
        row or Alert(name), detail, at, status="raised", since_ts=at, send_ts=at, tries=0
    )
    return row, raised


def _over(row: Alert, at: int) -> Write | None:
    """What the row is about is over, or there never will be such a thing again."""
    if row.status == "raised":
        return row, _changed(row, at, status="resolved", send_ts=at, tries=0)
    if row.send_ts is None and _has_passed(row.last_update_ts, KEPT_FOR, at):
        return row, None
    return None


def _has_passed(since: int, span: int, at: int) -> bool:
    return at - since >= span
