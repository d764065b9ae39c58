"""What ``after_turn.sql`` saw, and the answer that it makes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from fleet_q.adapters import rows
from fleet_q.adapters.columns import ROWS
from fleet_q.core import pod as pods
from fleet_q.core.errors import FleetQError
from fleet_q.core.lifecycle import POD_STATUSES, PodStatus
from fleet_q.core.pod import AnyPodCommand, Pod
from fleet_q.core.ports import SyncRequest, SyncResult
from fleet_q.core.step import claim_order

_POD = 8  # the place of the first column of a pod
_STEP = _POD + len(ROWS.pod)


class SyncSnapshot:
    """The rows, sorted by kind."""

    def __init__(self, found: Sequence[Sequence[Any]]) -> None:
        by_kind: dict[str, list[Sequence[Any]]] = {"now": [], "held": [], "done": []}
        for row in found:
            by_kind[row[0]].append(row)
        now = by_kind["now"][0]
        self.at, self.next_due, self.is_held, self.is_claimable, version = now[3:_POD]
        self.schema_version = int(version or 0)
        self._pod = None if now[_POD] is None else rows.to_pod(now[_POD:_STEP])
        self._steps = [rows.to_step(row[_STEP:]) for row in by_kind["held"]]
        self._done = {(step_id, token) for _, step_id, token, *_ in by_kind["done"]}

    def check(self, request: SyncRequest) -> None:
        """Raise what forbade the turn, if the pod is not as the turn would have left it."""
        if request.pod_command is None and not request.claim:
            return
        pod = self._pod
        if pod is not None and pod.incarnation == request.incarnation:
            fit = (outcome for status in POD_STATUSES if (outcome := status_after(request, status)))
            if pod.status in fit:
                return
        if request.pod_command is not None:
            pod = apply(pod, request.pod_command, self.at)
        if request.claim:
            pods.check_may_claim(pod, request.pod_id, request.incarnation)

    def shows_steps_of(self, request: SyncRequest) -> bool:
        """Whether the turn did anything to any step."""
        return bool(self._done or self.answer(request).claimed)

    def answer(self, request: SyncRequest, settled: Collection[str] = ()) -> SyncResult:
        """The answer; ``settled`` are the ids whose outcome had counted before."""
        held = {(step.step_id, step.claim_token) for step in self._steps}
        claim = (request.incarnation, request.claim_token)
        claimed = [s for s in self._steps if (s.incarnation, s.claim_token) == claim]
        return SyncResult(
            at=self.at,
            claimed=tuple(sorted(claimed, key=claim_order)) if request.claim else (),
            more=self.is_claimable and len(claimed) < request.claim,
            refused=tuple(
                outcome.step_id
                for outcome in request.outcomes
                if (outcome.step_id, outcome.claim_token) not in self._done
                and outcome.step_id not in settled
            ),
            lost=tuple(each for each, token in request.check_held if (each, token) not in held),
            next_due=self.next_due if request.claim else None,
            any_claimed=self.is_held if request.claim else False,
        )


def fit_statuses(request: SyncRequest) -> list[PodStatus]:
    """In which statuses the turn's incarnation may take it."""
    return [status for status in POD_STATUSES if status_after(request, status) is not None]


def status_after(request: SyncRequest, status: PodStatus) -> PodStatus | None:
    """What the turn makes of a pod in this status; ``None`` if it may not be taken then."""
    pod: Pod | None = Pod(request.pod_id, status, 0, 0, request.incarnation)
    try:
        pod = apply(pod, request.pod_command) if request.pod_command is not None else pod
        if request.claim:
            pods.check_may_claim(pod, request.pod_id, request.incarnation)
    except FleetQError:
        return None
    return None if pod is None else pod.status


def apply(pod: Pod | None, command: AnyPodCommand, at: int = 0) -> Pod | None:
    """The pod after a command; raises what ``decide`` raises."""
    change = pods.change(pod, command, at)
    return pod if change is None else change[1]
