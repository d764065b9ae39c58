"""Cancellations and replays: all of the steps change, or none."""

from __future__ import annotations

from collections.abc import Sequence

from fleet_q.adapters import rows
from fleet_q.adapters.snowflake.calls import Calls, NotAll, by_id
from fleet_q.adapters.snowflake.session import Transaction
from fleet_q.core import step as steps
from fleet_q.core.errors import StoreUnavailable
from fleet_q.core.lifecycle import STEP, STEP_STATUSES
from fleet_q.core.step import Cancel, Replay, Step


def change(
    calls: Calls, commands: Sequence[Cancel] | Sequence[Replay], kind: str, pod_id: str | None
) -> list[Step]:
    """The steps after the commands, whose event is a ``kind``. Raises ``UnknownStep`` or
    ``IllegalTransition``."""
    step_ids = [command.step_id for command in commands]
    sources = [status for status in STEP_STATUSES if STEP.allows(status, kind)]

    def work(tx: Transaction) -> None:
        wanted = rows.encode(step_ids)
        tx.run("change", type=kind, step_ids=wanted, sources=rows.encode(sources))
        tx.run("append_step_events", pod_id=pod_id)
        if sorted(by_id(tx.run("changed_steps"))) != sorted(step_ids):
            raise NotAll

    def change_all() -> None:
        try:
            calls.write(work)
        except NotAll:
            _explain(calls, commands)

    calls.patiently(change_all)
    known = calls.steps(step_ids)
    return [known[step_id] for step_id in step_ids]


def _explain(calls: Calls, commands: Sequence[Cancel] | Sequence[Replay]) -> None:
    """Raise what ``decide`` has against the commands, unless they were carried out before."""
    known = calls.steps([command.step_id for command in commands])
    has_changed = False
    for command in commands:
        step = known.get(command.step_id)
        event = steps.decide(step, command, at=step.available_ts if step else 0)
        if event is not None:
            known[command.step_id] = steps.evolve(step, event)
            has_changed = True
    if has_changed:  # what was forbidden a moment ago no longer is
        raise StoreUnavailable("Snowflake: a step changed while it was looked at")
