"""Cancels, replays and reprioritizes steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fleet_q.adapters import rows
from fleet_q.adapters.snowflake.calls import Calls, by_id
from fleet_q.adapters.snowflake.session import Rows, new_change_id
from fleet_q.core import dependencies
from fleet_q.core import step as steps
from fleet_q.core.dependencies import parents_of
from fleet_q.core.errors import StoreUnavailable
from fleet_q.core.lifecycle import STEP, STEP_STATUSES, StepStatus
from fleet_q.core.step import Cancel, Change, Replay, Reprioritize, Step


def change(
    calls: Calls, commands: Sequence[Cancel] | Sequence[Replay], kind: str, pod_id: str | None
) -> list[Step]:
    """Carry out the commands, whose events have the type ``kind``, and return the changed steps.

    Raises ``UnknownStep`` or ``IllegalTransition``, and then changes none.
    """
    step_ids = [command.step_id for command in commands]
    attempt = _attempts(calls, step_ids, kind, pod_id, all_or_none=True)

    def change_all() -> dict[str, Step]:
        changed = attempt()
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


def change_allowed(calls: Calls, commands: Sequence[Change], pod_id: str | None) -> list[str]:
    """See :meth:`fleet_q.core.ports.Store.change_allowed`."""
    if not commands:
        return []
    kind, priority = _event_of(commands[0])
    step_ids = [command.step_id for command in commands]
    attempt = _attempts(calls, step_ids, kind, pod_id, all_or_none=False, priority=priority)
    changed = by_id(calls.patiently(attempt))
    return [step_id for step_id in dict.fromkeys(step_ids) if step_id in changed]


def _event_of(command: Change) -> tuple[str, int | None]:
    """The type of the event that the command causes, and its priority."""
    match command:
        case Cancel():
            return "cancelled", None
        case Replay():
            return "replayed", None
        case Reprioritize():
            return "reprioritized", command.priority


def _attempts(
    calls: Calls,
    step_ids: Sequence[str],
    kind: str,
    pod_id: str | None,
    *,
    all_or_none: bool,
    priority: int | None = None,
) -> Callable[[], Rows]:
    """A call of the procedure, which may be repeated. If an answer is lost, the procedure finds out
    whether an earlier attempt was committed, which no query may show yet."""
    change_ids: list[str] = []
    sources = [status for status in STEP_STATUSES if STEP.allows(status, kind)]

    def attempt() -> Rows:
        earlier = rows.encode(change_ids)
        change_ids.append(new_change_id())
        return calls.session.call(
            "change",
            event_type=kind,
            step_ids=rows.encode(step_ids),
            step_count=len(step_ids),
            all_or_none=all_or_none,
            priority=priority,
            sources=rows.encode(sources),
            pod_id=pod_id,
            earlier=earlier,
            change_id=change_ids[-1],
        )

    return attempt


def _explain(calls: Calls, commands: Sequence[Cancel] | Sequence[Replay]) -> None:
    """Raise the error of ``decide`` for the commands; return if they were carried out before.

    Raises :class:`StoreUnavailable` if they are allowed by now, so that they are retried.
    """
    current = calls.steps([command.step_id for command in commands])
    _check_parents(calls, commands, current)
    has_changed = False
    for command in commands:
        step = current.get(command.step_id)
        event = steps.decide(step, command, at=step.available_ts if step else 0)
        if event is not None:
            current[command.step_id] = steps.evolve(step, event)
            has_changed = True
    if has_changed:  # a step has changed since: the commands are allowed now
        raise StoreUnavailable("Snowflake: a step changed while it was being changed; try again")


def _check_parents(
    calls: Calls, commands: Sequence[Cancel] | Sequence[Replay], current: Mapping[str, Step]
) -> None:
    """Raise :class:`ParentNotReplayed` for a replay that a parent forbids."""
    replayed = {
        command.step_id: step
        for command in commands
        if isinstance(command, Replay)
        and (step := current.get(command.step_id)) is not None
        and step.status in ("failed", "cancelled")
    }
    parents = {p: None for step in replayed.values() for p in parents_of(step.parents)}
    if parents:
        statuses: dict[str, StepStatus] = dict(
            calls.query("statuses", step_ids=rows.encode(list(parents)))
        )
        for step_id, parent_id in dependencies.replays(replayed, statuses).refused.items():
            raise dependencies.refusal(step_id, parent_id, statuses.get(parent_id))
