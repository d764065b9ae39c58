"""The rows of ``after_sync.sql``, and the :class:`SyncResult` that they give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fleet_q.adapters import rows
from fleet_q.adapters.columns import ROWS
from fleet_q.core import pod as pods
from fleet_q.core.errors import FleetQError
from fleet_q.core.lifecycle import POD_STATUSES, PodStatus
from fleet_q.core.pod import AnyPodCommand, Join, Pod, SendHeartbeat
from fleet_q.core.ports import SyncRequest, SyncResult
from fleet_q.core.step import claim_order

_POD = 16  # the index of a pod's first column
_STEP = _POD + len(ROWS.pod)


class SyncSnapshot:
    """The state of the store after a sync, from the rows of ``after_sync.sql``. ``changed`` steps
    were changed. ``had_waiting``: steps waited for others before it."""

    def __init__(self, snapshot_rows: Sequence[Sequence[Any]], *, had_waiting: bool) -> None:
        self._had_waiting = had_waiting
        by_kind: dict[str, list[Sequence[Any]]] = {"now": [], "held": [], "done": []}
        for row in snapshot_rows:
            by_kind[row[0]].append(row)
        now = by_kind["now"][0]
        (
            self.at, self.next_due, self.is_held, self.is_due, self.is_claimable, self.has_limits,
            self.has_inbox_rows, self.next_token, self.has_waiting, version, changed, served,
            self.next_firing,
        ) = now[3:_POD]  # fmt: skip
        self.schema_version = int(version or 0)
        self.changed = int(changed)
        self.served = int(served)
        self._pod = None if now[_POD] is None else rows.to_pod(now[_POD:_STEP])
        self._steps = [rows.to_step(row[_STEP:]) for row in by_kind["held"]]
        self._held = {(step.step_id, step.claim_token) for step in self._steps}
        self._done = {(step_id, token) for _, step_id, token, *_ in by_kind["done"]}

    @property
    def is_asleep(self) -> bool:
        """Whether the pod is asleep."""
        return self._pod is not None and self._pod.status == "asleep"

    def must_be_confirmed(self, request: SyncRequest) -> bool:
        """Whether the pod would be told that it was rejected, or that it lost claims. Queries may
        show it before they show the pod's own claims, if another session has committed these."""
        try:
            self.check(request)
        except FleetQError:
            return True
        return bool(self._lost(request))

    def confirm(self, pod_rows: Sequence[Sequence[Any]]) -> None:
        """Take pod and claims from the rows of ``pod_and_claims.sql``."""
        width = len(ROWS.pod)
        pods = [rows.to_pod(row[:width]) for row in pod_rows if row[0] is not None]
        self._pod = pods[0] if pods else None
        self._held = {(row[width], row[width + 1]) for row in pod_rows if row[0] is None}

    def check(self, request: SyncRequest) -> None:
        """Raise the error of ``decide`` if the pod does not have a status that the sync leads to,
        so that it was rejected."""
        if request.pod_command is None and not request.claim:
            return
        pod = self._pod
        if isinstance(request.pod_command, Join):
            pods.check_joined(pod, request.pod_id, request.incarnation)
            return
        if pod is not None and pod.incarnation == request.incarnation:
            expected = (
                after for status in POD_STATUSES if (after := status_after(request, status))
            )
            if pod.status in expected:
                return
        if request.pod_command is not None:
            pod = apply(pod, request.pod_command, self.at)
        if request.claim:
            pods.check_may_claim(pod, request.pod_id, request.incarnation)

    def shows_steps_of(self, request: SyncRequest) -> bool:
        """Whether the sync changed any step."""
        return bool(self._done or self.result(request).claimed)

    def result(self, request: SyncRequest) -> SyncResult:
        """The result of the sync, in which every outcome that it did not record is refused."""
        claim = (request.incarnation, request.claim_token)
        claimed = [s for s in self._steps if (s.incarnation, s.claim_token) == claim]
        is_short = len(claimed) < request.claim
        held_back = is_short and self.is_due and not self.is_claimable
        times = [self.next_due, self.next_token if held_back else None]
        next_due = min((int(time) for time in times if time is not None), default=None)
        return SyncResult(
            at=self.at,
            claimed=tuple(sorted(claimed, key=claim_order)) if request.claim else (),
            more=self.is_claimable and is_short,
            held_back=held_back,
            refused=tuple(
                outcome.step_id
                for outcome in request.outcomes
                if (outcome.step_id, outcome.claim_token) not in self._done
            ),
            lost=self._lost(request),
            unexpected=self._unexpected(request),
            next_due=next_due if request.claim else None,
            any_claimed=self.is_held if request.claim else False,
            ready=self._had_waiting and self.is_claimable and not request.claim,
            next_firing=self.next_firing if request.claim else None,
        )

    def _lost(self, request: SyncRequest) -> tuple[str, ...]:
        return tuple(claim[0] for claim in request.check_held if claim not in self._held)

    def _unexpected(self, request: SyncRequest) -> tuple[tuple[str, str], ...]:
        if not isinstance(request.pod_command, SendHeartbeat):
            return ()
        expected = set(request.check_held)
        return tuple(
            claim
            for step in self._steps
            if step.incarnation == request.incarnation
            and step.claim_token is not None
            and step.claim_token != request.claim_token
            and (claim := (step.step_id, step.claim_token)) not in expected
        )


def allowed_statuses(request: SyncRequest) -> list[PodStatus]:
    """The pod statuses in which the request is allowed."""
    return [status for status in POD_STATUSES if status_after(request, status) is not None]


def status_after(request: SyncRequest, status: PodStatus) -> PodStatus | None:
    """The status after the request of a pod with this status; ``None`` if the request is
    rejected."""
    pod: Pod | None = Pod(request.pod_id, status, 0, 0, request.incarnation)
    try:
        pod = apply(pod, request.pod_command) if request.pod_command is not None else pod
        if request.claim:
            pods.check_may_claim(pod, request.pod_id, request.incarnation)
    except FleetQError:
        return None
    return None if pod is None else pod.status


def apply(pod: Pod | None, command: AnyPodCommand, at: int = 0) -> Pod | None:
    """The pod after a command. Raises the errors of :func:`fleet_q.core.pod.change`."""
    change = pods.change(pod, command, at)
    return pod if change is None else change[1]
