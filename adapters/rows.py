"""Between rows and the core's structs, the same for every SQL store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, cast, get_args

import msgspec

from fleet_q.core.errors import UnknownToThisVersion
from fleet_q.core.events import JSON_FIELDS, Event, Fact, PodEvent, PodFact, StepEvent, StepFact
from fleet_q.core.lifecycle import STEP_STATUSES, StepStatus
from fleet_q.core.pod import Pod
from fleet_q.core.step import Complete, Fail, Outcome, Step, Submit

_EVENT_COLUMNS: Final = (
    "claim_token", "incarnation", "payload", "priority", "max_retries", "available_ts", "result",
    "error", "traceback",
)  # fmt: skip

Row = Sequence[Any]


def _by_tag(union: Any) -> dict[str, tuple[type[Fact], tuple[str, ...]]]:
    return {
        str(fact.__struct_config__.tag): (fact, fact.__struct_fields__) for fact in get_args(union)
    }


_STEP_FACTS: Final = _by_tag(StepFact)
_POD_FACTS: Final = _by_tag(PodFact)


def to_step(row: Row) -> Step:
    """A row of the step table, its columns in the order of the struct's fields."""
    return Step(*row)


def to_pod(row: Row) -> Pod:
    """A row of the pod table, likewise."""
    return Pod(*row)


def to_counts(counts: Iterable[tuple[str, int]]) -> dict[StepStatus, int]:
    """Numbers of steps by status, zeros too. A status may come several times."""
    found = dict.fromkeys(STEP_STATUSES, 0)
    for status, count in counts:
        if status not in found:
            raise UnknownToThisVersion(f"{count} step(s) have the status {status!r}")
        found[status] += count
    return found


def to_step_event(row: Row) -> StepEvent:
    """A row of the step log: id, version, type, time, pod, and what ``_EVENT_COLUMNS`` names."""
    step_id, version, kind, at, pod_id, *columns = row
    try:
        fact, fields = _STEP_FACTS[kind]
    except KeyError:
        raise UnknownToThisVersion(f"event {version} of step {step_id!r} is {kind!r}") from None
    found = dict(zip(_EVENT_COLUMNS, columns, strict=True))
    values = [_raw(found[field]) if field in JSON_FIELDS else found[field] for field in fields]
    return Event(step_id, version, at, pod_id, cast("StepFact", fact(*values)))


def to_pod_event(row: Row) -> PodEvent:
    """A row of the pod log."""
    pod_id, version, kind, at, by_pod_id, incarnation = row
    try:
        fact, _ = _POD_FACTS[kind]
    except KeyError:
        raise UnknownToThisVersion(f"event {version} of pod {pod_id!r} is {kind!r}") from None
    return Event(pod_id, version, at, by_pod_id, cast("PodFact", fact(incarnation)))


def step_event_row(event: StepEvent) -> Row:
    """The row that :func:`to_step_event` reads."""
    fact = event.fact
    columns = [
        str(value, "utf-8") if isinstance(value, msgspec.Raw) else value
        for value in (getattr(fact, column, None) for column in _EVENT_COLUMNS)
    ]
    return (event.stream, event.version, fact.type, event.at, event.pod_id, *columns)


def pod_event_row(event: PodEvent) -> Row:
    """The row that :func:`to_pod_event` reads."""
    fact = event.fact
    return (event.stream, event.version, fact.type, event.at, event.pod_id, fact.incarnation)


def outcomes_json(outcomes: Sequence[Outcome]) -> str:
    """Outcomes as the one value that ``turn.sql`` takes them in."""
    return encode([_outcome(outcome) for outcome in outcomes])


def submissions_json(new: Sequence[Submit]) -> str:
    """Submissions as the one value that ``submit.sql`` takes them in."""
    return encode(
        [
            {
                "step_id": each.step_id,
                "payload": each.payload,
                "priority": each.priority,
                "max_retries": each.max_retries,
                "delay": each.delay,
            }
            for each in new
        ]
    )


def encode(value: Any) -> str:
    """JSON for a bound value."""
    return msgspec.json.encode(value).decode()


def _outcome(outcome: Outcome) -> dict[str, Any]:
    values: dict[str, Any] = {"step_id": outcome.step_id, "claim_token": outcome.claim_token}
    match outcome:
        case Complete(result=result):
            values |= {"type": "completed", "result": result.strip()}
        case Fail():
            values |= {
                "type": "failed",
                "error": outcome.error,
                "traceback": outcome.traceback,
                "permanent": outcome.permanent,
                "retry_delay": outcome.retry_delay,
            }
        case _:
            values["type"] = "released"
    return values


def _raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text)
