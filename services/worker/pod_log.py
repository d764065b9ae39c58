"""The log of a pod."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from typing import Final

from msgspec.structs import astuple

from fleet_q.core.errors import FleetQError, IncarnationEnded, StoreError, StoreUnavailable
from fleet_q.core.firing import FiringStats
from fleet_q.core.pruning import PruneStats
from fleet_q.core.recovery import RecoveryStats
from fleet_q.core.step import Complete, Fail, Outcome, Release, Snooze, Step, is_retried
from fleet_q.core.worker.functions import Claim
from fleet_q.core.worker.observer import Observer
from fleet_q.services.app.description import message_of
from fleet_q.services.worker.careful_log import CarefulLogger
from fleet_q.services.worker.completions import Completions

log: Final = CarefulLogger("fleet_q.pod")

MOST_UNSERVED: Final = 20
"""How many pairs of queue and task type that no pod serves are logged at once."""


class PodLog(Observer):
    """Logs what happens to a pod. ``error`` is the error that ended it, if any."""

    def __init__(self, pod_id: str) -> None:
        self.error: FleetQError | None = None
        self._pod_id = pod_id
        self._completions = Completions()

    @property
    def wants_ended(self) -> bool:
        return log.isEnabledFor(logging.INFO)

    @property
    def wants_completions(self) -> bool:
        return log.isEnabledFor(logging.DEBUG)

    @property
    def wants_unserved(self) -> bool:
        return log.isEnabledFor(logging.WARNING)

    def on_claimed(self, steps: Sequence[Step]) -> None:
        log.info("claimed %d step(s)", len(steps), extra=self._tags())

    def on_recorded(self, outcome: Outcome, step: Step, *, refused: bool) -> None:
        if refused:
            log.warning(
                "outcome rejected: the step was cancelled, or recovered by the leader",
                extra=self._tags(step),
            )
            return
        match outcome:
            case Complete():
                log.debug("completed", extra=self._tags(step))
            case Fail():
                kind = "attempt failed" if is_retried(step, outcome) else "failed"
                log.warning("%s: %s", kind, outcome.error, extra=self._tags(step))
            case Release():
                log.warning("released before it completed", extra=self._tags(step))
            case Snooze():
                log.info("put off by its function", extra=self._tags(step))

    def on_ended(
        self, ended: Sequence[tuple[Outcome, Step]], refused: Collection[str], at: int
    ) -> None:
        self._completions.add(ended, refused, at)

    def on_synced(self, seconds: float, waited: float) -> None:
        self._log_completions()

    def _log_completions(self, *, at_once: bool = False) -> None:
        line = self._completions.take(at_once=at_once)
        if line is not None:
            log.info("%s", line, extra=self._tags())

    def on_lost(self, step: Step) -> None:
        log.warning(
            "claim lost: cancelled, or recovered by the leader; stopping its function",
            extra=self._tags(step),
        )

    def on_claimed_again(self, step: Step) -> None:
        log.warning(
            "claimed again by this pod; stopping the earlier attempt", extra=self._tags(step)
        )

    def on_store_unavailable(self, error: Exception, wait: float) -> None:
        is_expected = isinstance(error, StoreUnavailable)
        log.warning(
            "%s; retrying in %.2f s",
            error if is_expected else message_of(error),
            wait,
            exc_info=None if is_expected else error,
            extra=self._tags(),
        )

    def on_refused(self, outcomes: int, step: Step | None, error: Exception) -> None:
        log.warning(
            "the store refused %d outcome(s): %s",
            outcomes,
            message_of(error),
            extra=self._tags(step),
        )

    def on_incarnation_ended(self, error: IncarnationEnded) -> None:
        log.warning("%s", error, extra=self._tags())

    def on_stuck(self, claims: Sequence[Claim]) -> None:
        log.info("released %d step(s) that this pod cannot begin", len(claims))

    def on_not_begun(self, step_id: str) -> None:
        tags = {**self._tags(), "step": step_id}
        log.warning("released: its start could not be recorded", extra=tags)

    def on_not_stopped(self, step_id: str, error: Exception) -> None:
        tags = {**self._tags(), "step": step_id}
        log.error("the function could not be stopped", exc_info=error, extra=tags)

    def on_recovery_ended(self, stats: RecoveryStats, error: Exception | None) -> None:
        if isinstance(error, StoreError):
            log.warning("recovery is postponed: %s", error, extra=self._tags())
        elif error is not None:
            log.error("recovery is postponed: unexpected error", exc_info=error, extra=self._tags())
        elif stats.dead_pods or stats.total_orphans:
            log.info(
                "recovery: %d dead pods; %d orphans, %d requeued, %d failed",
                *astuple(stats),
                extra=self._tags(),
            )

    def on_unserved(self, pairs: Sequence[tuple[str, str]]) -> None:
        for queue, task_type in pairs[:MOST_UNSERVED]:
            steps = f"task type {task_type!r}" if task_type else "steps without a task type"
            log.warning(
                "unserved: no live pod takes %s of queue %r", steps, queue, extra=self._tags()
            )
        if len(pairs) > MOST_UNSERVED:
            more = len(pairs) - MOST_UNSERVED
            log.warning("unserved: %d more, see fleet-q queue", more, extra=self._tags())

    def on_fired(self, stats: FiringStats, error: Exception | None) -> None:
        if isinstance(error, StoreError):
            log.warning("schedules: fired later: %s", error, extra=self._tags())
        elif error is not None:
            log.error("schedules: unexpected error", exc_info=error, extra=self._tags())
        elif stats.submitted:
            log.info("schedules: submitted %d step(s)", stats.submitted, extra=self._tags())

    def on_not_fired(self, schedule: str, error: Exception) -> None:
        if isinstance(error, FleetQError):
            log.error("schedule %r is not fired: %s", schedule, error, extra=self._tags())
        else:
            log.error("schedule %r is not fired", schedule, exc_info=error, extra=self._tags())

    def on_alerts_postponed(self, error: Exception) -> None:
        if isinstance(error, StoreError):
            log.warning("alerts are postponed: %s", error, extra=self._tags())
        else:
            log.error("alerts are postponed", exc_info=error, extra=self._tags())

    def on_prune_ended(self, stats: PruneStats, error: Exception | None) -> None:
        if isinstance(error, StoreError):
            level = logging.WARNING if isinstance(error, StoreUnavailable) else logging.ERROR
            log.log(level, "pruning is postponed: %s", error, extra=self._tags())
        elif error is not None:
            log.error("pruning is postponed: unexpected error", exc_info=error, extra=self._tags())
        elif stats != PruneStats():
            log.info("pruned %d steps, %d pods", stats.steps, stats.pods, extra=self._tags())

    def on_unexpected(self, error: BaseException, wait: float) -> None:
        log.error(
            "unexpected error; continuing in %.2f s", wait, exc_info=error, extra=self._tags()
        )

    def on_failed(self, error: BaseException) -> None:
        if isinstance(error, FleetQError):
            self.error = error
            log.error("pod stops: %s", error, extra=self._tags())
        else:
            self.error = FleetQError(f"pod stops: {message_of(error)}")
            log.critical("pod stops", exc_info=error, extra=self._tags())

    def on_not_released(self, error: BaseException) -> None:
        log.error("its claimed steps were not released: %s", message_of(error), extra=self._tags())

    def on_left(self, *, confirmed: bool) -> None:
        self._log_completions(at_once=True)
        if confirmed:
            log.info("left the fleet", extra=self._tags())
            return
        self.error = StoreUnavailable(
            f"the grace is over and the store has not confirmed that pod {self._pod_id!r} left:"
            " the pod may be listed as active and its steps as claimed until the leader declares"
            " it dead"
        )
        log.error("pod stops: %s", self.error, extra=self._tags())

    def _tags(self, step: Step | None = None) -> dict[str, object]:
        if step is None:
            return {"pod": self._pod_id}
        return {"pod": self._pod_id, "step": step.step_id, "attempt": step.attempt}
