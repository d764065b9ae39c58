"""Cancels or replays steps, either all of them or none."""

from __future__ import annotations

from collections.abc import Sequence

from fleet_q.adapters import rows
from fleet_q.adapters.snowflake.calls import Calls, by_id
from fleet_q.adapters.snowflake.session import new_change_id
from fleet_q.core import step as steps
from fleet_q.core.errors import StoreUnavailable
from fleet_q.core.lifecycle import STEP, STEP_STATUSES
from fleet_q.core.step import Cancel, Replay, Step


def change(
    calls: Calls, commands: Sequence[Cancel] | Sequence[Replay], kind: str, pod_id: str | None
) -> list[Step]:
    """Carry out the commands, whose events have the type ``kind``, and return the changed steps.

    Raises ``UnknownStep`` or ``IllegalTransition``. If an answer is lost, the procedure finds out
    whether an earlier attempt was committed, which no query may show yet.
    """
    change_ids: list[str] = []
    step_ids = [command.step_id for command in commands]
    sources = [status for status in STEP_STATUSES if STEP.allows(status, kind)]

    def change_all() -> dict[str, Step]:
        earlier = rows.encode(change_ids)
        change_ids.append(new_change_id())
        changed = calls.session.call(
            "change",
            event_type=kind,
            step_ids=rows.encode(step_ids),
            step_count=len(step_ids),
            sources=rows.encode(sources),
            pod_id=pod_id,
            earlier=earlier,
            change_id=change_ids[-1],
        )
        if changed:
            return by_id(changed)
        _explain(calls, commands)
        return calls.steps(step_ids)

    if not commands:
        return []
    if len(set(step_ids)) < len(step_ids):
        _explain(calls, commands)  # raises for the second command about a step
    changed = calls.patiently(change_all)
    return [changed[step_id] for step_id in step_ids]


def _explain(calls: Calls, commands: Sequence[Cancel] | Sequence[Replay]) -> None:
    """Raise the error of ``decide`` for the commands; return if they were carried out before.

    Raises :class:`StoreUnavailable` if they are allowed by now, so that they are retried.
    """
    current = calls.steps([command.step_id for command in commands])
    has_changed = False
    for command in commands:
        step = current.get(command.step_id)
        event = steps.decide(step, command, at=step.available_ts if step else 0)
        if event is not None:
            current[command.step_id] = steps.evolve(step, event)
            has_changed = True
    if has_changed:  # a step has changed since: the commands are allowed now
        raise StoreUnavailable("Snowflake: a step changed while it was being changed; try again")
