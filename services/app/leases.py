"""Leases, the claims of clients in any language: a claim that is not renewed in time is retried."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Final

from fleet_q.core.errors import ClaimLost
from fleet_q.core.step import Outcome, Step
from fleet_q.services.app.checkpoint import Checkpoint, progress_json
from fleet_q.services.app.chosen_routes import routes_within
from fleet_q.services.app.claimed_step import Endings
from fleet_q.services.worker.by_hand import ClaimCall, PodByHand

LEASE: Final = 60.0
"""Seconds of a lease by default: the dead-pod threshold of the settings' defaults."""

SHORTEST_LEASE: Final = 1.0
LONGEST_LEASE: Final = 3_600.0
"""Seconds; a step whose client died waits so long before it is retried."""

MOST_ANSWERED: Final = 10_000
"""How many ended claims are remembered, so that a client that lost an answer may ask again."""


class Leases:
    """The claims of a pod by hand, by step id and claim token instead of by object.

    All methods may be called from any thread. Those that claim, renew and end return futures, see
    :class:`StepsByHand`. A request to end a claim may be repeated: the answer is that of the first.
    """

    def __init__(self, pod: PodByHand, endings: Endings) -> None:
        self.pod = pod
        self._endings = endings
        self._answered: OrderedDict[tuple[str, str], tuple[str, Future[Outcome]]] = OrderedDict()
        self._checkpoints: dict[tuple[str, str], Checkpoint] = {}
        self._lock = threading.Lock()

    def claim(
        self,
        most: int,
        lease: float,
        queues: Sequence[str] | None = None,
        task_types: Sequence[str] | None = None,
        *,
        is_over: bool,
    ) -> ClaimCall:
        """Ask for up to ``most`` steps of these queues and task types, by default all of the pod's,
        each with a lease of so many seconds. Raises ``InvalidInput``."""
        routes = routes_within(self.pod.steps.routes, queues, task_types)
        return self.pod.steps.claim(most, lease, routes, is_over=is_over)

    def renew(self, step_id: str, claim_token: str, lease: float | None) -> Future[float]:
        """Let the lease end in ``lease`` seconds, those of the claim by default; returns them."""
        return self.pod.steps.renew(step_id, claim_token, lease)

    def report(
        self, step_id: str, claim_token: str, fraction: float | None, text: str | None
    ) -> None:
        """Let the next sync record the progress. Raises ``InvalidInput``."""
        progress = progress_json(fraction, text)
        self._endings.saver.report_progress(step_id, claim_token, progress)

    def save(self, step_id: str, claim_token: str, value: Any) -> None:
        """Save ``value``, and return once it is stored. After ``StoreUnavailable`` the same call
        may be repeated. Raises ``ClaimLost`` and ``InvalidInput``."""
        self._checkpoint(step_id, claim_token).save(value)

    def _checkpoint(self, step_id: str, claim_token: str) -> Checkpoint:
        steps, claim = self.pod.steps, (step_id, claim_token)
        step = steps.held(*claim)
        if step is None:
            raise ClaimLost(step_id)
        with self._lock:
            if claim not in self._checkpoints:
                held = {c: cp for c, cp in self._checkpoints.items() if steps.held(*c) is not None}
                self._checkpoints = {**held, claim: Checkpoint(step, self._endings.saver)}
            return self._checkpoints[claim]

    def complete(self, step_id: str, claim_token: str, result: Any) -> Future[Outcome]:
        """Complete the step. Raises ``InvalidInput`` and ``ClaimLost``."""
        return self._end(
            "completed", step_id, claim_token, lambda step: self._endings.complete(step, result)
        )

    def fail(
        self, step_id: str, claim_token: str, error: str, *, permanent: bool
    ) -> Future[Outcome]:
        """Fail the attempt. Raises ``ClaimLost``."""
        return self._end(
            "failed", step_id, claim_token, lambda step: self._endings.fail(step, error, permanent)
        )

    def release(self, step_id: str, claim_token: str, delay: float) -> Future[Outcome]:
        """Release the step. Raises ``ClaimLost``."""
        return self._end(
            "released", step_id, claim_token, lambda step: self._endings.requeue(step, delay)
        )

    def snooze(self, step_id: str, claim_token: str, seconds: float) -> Future[Outcome]:
        """Put the step off; if that was done too often before, it fails. Raises ``ClaimLost``."""
        return self._end(
            "snoozed", step_id, claim_token, lambda step: self._endings.snooze(step, seconds)
        )

    def _end(
        self, how: str, step_id: str, claim_token: str, end: Callable[[Step], Future[Outcome]]
    ) -> Future[Outcome]:
        claim = step_id, claim_token
        with self._lock:
            before, future = self._answered.get(claim, (how, None))
            if future is None:
                step = self.pod.steps.held(step_id, claim_token)
                future = None if step is None else end(step)
            if future is None or before != how:
                raise ClaimLost(step_id)
            self._answered[claim] = how, future
            while len(self._answered) > MOST_ANSWERED:
                self._answered.popitem(last=False)
        return future
