"""The inbox: rows that others insert by SQL, each of which becomes a step."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import islice
from math import isfinite
from typing import Any, Final, NoReturn, cast

import msgspec
from msgspec.structs import asdict, replace

from fleet_q.core.errors import InvalidInput
from fleet_q.core.events import DEFAULT_QUEUE
from fleet_q.core.retry import MICROS
from fleet_q.core.sizes import size_of
from fleet_q.core.step import OnConflict, Step, Submit, as_stored
from fleet_q.core.submission import MAX_PAYLOAD_BYTES, TASK_TYPE, check_retries, submission

INBOX_BATCH: Final = 1_000
"""Rows that one transaction takes in, at most."""

INBOX_BATCH_BYTES: Final = 4 * 1024 * 1024
"""About how many bytes these rows have, at most."""

MAX_SHOWN: Final = 10_000
"""Characters of a column other than ``payload`` that a dead letter shows."""

INVALID_ROW: Final = "invalid row of STEP_INBOX: {}"
"""The error of a dead letter that a row became; a format string for what is wrong."""


class InboxRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of ``STEP_INBOX``; only its texts and numbers are known to be such.

    ``row_id`` gives the order of insertion. ``payload`` and ``labels`` are JSON texts;
    ``unique_for``, ``delay`` and ``timeout`` are in seconds, ``available_ts`` is in microseconds
    since the Unix epoch. The other fields are those of :class:`~fleet_q.core.step.Step`. ``None``:
    the default.
    """

    row_id: int
    payload: str | None = None
    task_type: str | None = None
    queue: str | None = None
    priority: int | None = None
    key: str | None = None
    unique_key: str | None = None
    unique_for: float | None = None
    on_conflict: str | None = None
    labels: str | None = None
    delay: float | None = None
    available_ts: int | None = None
    step_id: str | None = None
    max_retries: int | None = None
    timeout: float | None = None

    @property
    def size(self) -> int:
        """About how many bytes the row has."""
        texts = (self.payload, self.labels, self.key, self.unique_key, self.step_id)
        return sum(len(text) for text in texts if text is not None)


class Intake(msgspec.Struct, frozen=True):
    """What a process that takes in rows gives to steps. ``new_id`` makes the id of a step,
    ``max_retries`` returns the retries of a task type."""

    new_id: Callable[[], str]
    max_retries: Callable[[str], int] = lambda task_type: 3
    max_payload_bytes: int = MAX_PAYLOAD_BYTES


class Rejection(msgspec.Struct, frozen=True):
    """A row that is no valid submission, and why."""

    row: InboxRow
    error: str

    def dead_letter(self, step_id: str, most: int) -> Submit:
        """The submission of the step that holds the row. Its payload has the columns that are not
        NULL; a text that is longer than ``most`` is cut off."""
        columns = {
            name: _shown(value, most if name == "payload" else MAX_SHOWN)
            for name, value in asdict(self.row).items()
            if value is not None
        }
        payload = json.dumps({"step_inbox": columns}, ensure_ascii=False)
        return Submit(step_id, payload, max_retries=0)


def read_row(row: InboxRow, at: int, intake: Intake) -> Submit | Rejection:
    """What becomes of a row that is taken in at store time ``at``."""
    try:
        return _submission(row, at, intake)
    except InvalidInput as error:
        return Rejection(row, INVALID_ROW.format(error))


def step_of_row(row: InboxRow, at: int, intake: Intake) -> Step | None:
    """The step that a row will become, as if it were taken in now; ``None`` if it is no valid
    submission."""
    submit = read_row(row, at, intake)
    return None if isinstance(submit, Rejection) else replace(as_stored(submit, at), version=0)


def row_values(new: Submit) -> dict[str, Any]:
    """The columns of the row that submits ``new``."""
    return {
        "payload": new.payload,
        "queue": new.queue,
        "priority": new.priority,
        "key": new.key,
        "unique_key": new.unique_key,
        "unique_for": None if new.unique_for is None else new.unique_for / MICROS,
        "on_conflict": None if new.unique_key is None else new.on_conflict,
        "labels": new.labels,
        "delay": new.delay / MICROS,
        "step_id": new.step_id,
        "max_retries": new.max_retries,
        "timeout": None if new.timeout is None else new.timeout / MICROS,
    }


def first_rows(rows: Iterable[InboxRow], limit: int, most_bytes: int) -> list[InboxRow]:
    """The first ``limit`` of these rows, fewer if they have more than ``most_bytes``, but at least
    one."""
    first: list[InboxRow] = []
    size = 0
    for row in islice(rows, limit):
        size += row.size
        if first and size > most_bytes:
            break
        first.append(row)
    return first


def _submission(row: InboxRow, at: int, intake: Intake) -> Submit:
    payload = _payload(row, intake.max_payload_bytes)
    if row.delay is not None and row.available_ts is not None:
        raise InvalidInput("delay and available_ts exclude each other; set one of them")
    delay = row.delay or 0.0
    if row.available_ts is not None:
        delay = max(0, row.available_ts - at) / MICROS
    task_type = payload.get(TASK_TYPE)
    max_retries = row.max_retries
    if max_retries is None:
        max_retries = intake.max_retries(task_type if isinstance(task_type, str) else "")
    check_retries(max_retries)
    labels = None if row.labels is None else _decoded(row.labels, "labels")
    return submission(
        payload,
        step_id=intake.new_id() if row.step_id is None else row.step_id,
        unique=row.step_id is None,
        priority=row.priority or 0,
        max_retries=max_retries,
        delay=delay,
        queue=DEFAULT_QUEUE if row.queue is None else row.queue,
        key=row.key,
        unique_key=row.unique_key,
        unique_for=row.unique_for,
        on_conflict=cast("OnConflict", row.on_conflict or "existing"),
        labels=labels,
        timeout=row.timeout,
        max_payload_bytes=intake.max_payload_bytes,
    )


def _payload(row: InboxRow, most: int) -> dict[str, Any]:
    """The payload, which the column ``task_type`` completes."""
    text = "{}" if row.payload is None else row.payload
    if len(text) > most:
        raise InvalidInput(f"payload has at least {len(text)} bytes; the limit is {most}")
    payload = _decoded(text, "payload")
    if not isinstance(payload, dict):
        raise InvalidInput("payload must be a JSON object")
    if row.task_type is None:
        return payload
    inside = payload.setdefault(TASK_TYPE, row.task_type)
    if inside != row.task_type:
        raise InvalidInput(
            f"task_type is {row.task_type!r}, but the payload has {inside!r}; set one of them"
        )
    return payload


def _decoded(text: str, what: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{what} is not JSON: {error}") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _shown(value: object, most: int) -> object:
    if not isinstance(value, str):
        return value if isinstance(value, int) or isfinite(cast(float, value)) else str(value)
    text = value.encode("utf-8", "backslashreplace").decode()
    if size_of(text) <= most:
        return text
    return text[:most] + "..."
