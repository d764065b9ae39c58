"""What ``after_turn.sql`` saw, and the answer that it makes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from fleet_q.adapters import rows
from fleet_q.core import pod as pods
from fleet_q.core.errors import FleetQError
from fleet_q.core.lifecycle import POD_STATUSES, PodStatus
from fleet_q.core.pod import Pod, PodCommand
from fleet_q.core.ports import Answer, Turn
from fleet_q.core.step import claim_order

_NOW = 5  # the columns that only the row of kind 'now' has, with the kind itself


class SyncSnapshot:
    """The rows, sorted by kind."""

    def __init__(self, found: Sequence[Sequence[Any]]) -> None:
        by_kind: dict[str, list[Sequence[Any]]] = {"now": [], "pod": [], "held": [], "done": []}
        for row in found:
            by_kind[row[0]].append(row[1:])
        self.at, self.next_due, self.is_held, self.is_claimable = by_kind["now"][0][: _NOW - 1]
        self.schema_version = int(by_kind["now"][0][-1] or 0)
        self._steps = [row[_NOW - 1 :] for row in by_kind["held"]]
        self._done = {(row[_NOW - 1], row[_NOW + 10]) for row in by_kind["done"]}
        columns = [row[_NOW - 1 :] for row in by_kind["pod"]]
        self._pod = next((_to_pod(each) for each in columns), None)

    def check(self, turn: Turn) -> None:
        """Raise what forbade the turn, if the pod is not as the turn would have left it."""
        if turn.presence is None and not turn.claim:
            return
        pod = self._pod
        if pod is not None and pod.incarnation == turn.incarnation:
            fit = (outcome for status in POD_STATUSES if (outcome := status_after(turn, status)))
            if pod.status in fit:
                return
        if turn.presence is not None:
            pod = apply(pod, turn.presence, self.at)
        if turn.claim:
            pods.check_may_claim(pod, turn.pod_id, turn.incarnation)

    def shows_steps_of(self, turn: Turn) -> bool:
        """Whether the turn did anything to any step."""
        return bool(self._done or self.answer(turn).claimed)

    def answer(self, turn: Turn, settled: Collection[str] = ()) -> Answer:
        """The answer; ``settled`` are the ids whose outcome had counted before."""
        held = {(row[0], row[11]) for row in self._steps}
        claim = (turn.incarnation, turn.claim_token)
        claimed = [rows.to_step(row) for row in self._steps if (row[10], row[11]) == claim]
        return Answer(
            at=self.at,
            claimed=tuple(sorted(claimed, key=claim_order)) if turn.claim else (),
            more=self.is_claimable and len(claimed) < turn.claim,
            refused=tuple(
                outcome.step_id
                for outcome in turn.outcomes
                if (outcome.step_id, outcome.claim_token) not in self._done
                and outcome.step_id not in settled
            ),
            lost=tuple(each for each, token in turn.check_held if (each, token) not in held),
            next_due=self.next_due if turn.claim else None,
            held=self.is_held if turn.claim else False,
        )


def fit_statuses(turn: Turn) -> list[PodStatus]:
    """In which statuses the turn's incarnation may take it."""
    return [status for status in POD_STATUSES if status_after(turn, status) is not None]


def status_after(turn: Turn, status: PodStatus) -> PodStatus | None:
    """What the turn makes of a pod in this status; ``None`` if it may not be taken then."""
    pod: Pod | None = Pod(turn.pod_id, status, 0, 0, turn.incarnation)
    try:
        pod = apply(pod, turn.presence) if turn.presence is not None else pod
        if turn.claim:
            pods.check_may_claim(pod, turn.pod_id, turn.incarnation)
    except FleetQError:
        return None
    return None if pod is None else pod.status


def apply(pod: Pod | None, command: PodCommand, at: int = 0) -> Pod | None:
    """The pod after a command; raises what ``decide`` raises."""
    change = pods.change(pod, command, at)
    return pod if change is None else change[1]


def _to_pod(step_columns: Sequence[Any]) -> Pod:
    """A pod among the columns of a step, where ``after_turn.sql`` puts it."""
    pod_id, status, birth_ts, last_heartbeat_ts = (step_columns[i] for i in (0, 1, 6, 7))
    return Pod(pod_id, status, birth_ts, last_heartbeat_ts, step_columns[10], step_columns[15])
