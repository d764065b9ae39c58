"""The payloads of simulated steps, which name the work that they were submitted with."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from fleet_q.core.submission import TASK_TYPE
from fleet_q.services.simulation.scenario import Work

WORK = "work"


def payload_of(work: Work) -> str:
    """The payload of the step, as a JSON text."""
    task_type = {TASK_TYPE: work.task_type} if work.task_type else {}
    return msgspec.json.encode({WORK: work.step_id, **task_type}).decode()


def work_of(payload: msgspec.Raw, work: Mapping[str, Work], step_id: str) -> Work:
    """The work that the payload names; that of the step itself if it names none."""
    return work[msgspec.json.decode(payload).get(WORK, step_id)]


def row_in(payload: msgspec.Raw) -> int | None:
    """The number of the inbox's row that a dead letter holds; ``None`` for another payload."""
    row = msgspec.json.decode(payload).get("step_inbox")
    return None if row is None else int(row["row_id"])
