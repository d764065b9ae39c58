"""What is reported about a pod, for its log and for checks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from fleet_q.core.errors import IncarnationEnded
from fleet_q.core.firing import FiringStats
from fleet_q.core.pruning import PruneStats
from fleet_q.core.recovery import RecoveryStats
from fleet_q.core.step import Outcome, Step
from fleet_q.core.worker.functions import Claim


class Observer:
    """Is called when something happens to a pod. Methods do nothing unless overridden, and should
    not raise."""

    @property
    def wants_completions(self) -> bool:
        """Whether :meth:`on_recorded` is called for every completion, too."""
        return False

    @property
    def wants_unserved(self) -> bool:
        """Whether :meth:`on_unserved` is called, for which a leader asks the store after each
        recovery cycle."""
        return False

    @property
    def wants_ended(self) -> bool:
        """Whether :meth:`on_ended` is called."""
        return False

    def on_claimed(self, steps: Sequence[Step]) -> None:
        """The pod has claimed these steps and started their functions."""

    def on_recorded(self, outcome: Outcome, step: Step, *, refused: bool) -> None:
        """The store has recorded the outcome of an attempt at ``step``, or ``refused`` it because
        the claim no longer stood."""

    def on_ended(
        self, ended: Sequence[tuple[Outcome, Step]], refused: Collection[str], at: int
    ) -> None:
        """At store time ``at``, the store has recorded these outcomes of attempts, or refused those
        of the steps with the ids ``refused``. Called once for each sync that carried any."""

    def on_synced(self, seconds: float, waited: float) -> None:
        """The store has answered a sync after so many seconds, of which about ``waited`` were spent
        waiting for a lock."""

    def on_leads(self, leads: bool) -> None:
        """A recovery cycle has read whether the pod leads the fleet."""

    def on_lost(self, step: Step) -> None:
        """The claim no longer stands; the function is stopped."""

    def on_claimed_again(self, step: Step) -> None:
        """The pod has claimed the step once more; the earlier attempt, at ``step``, is stopped."""

    def on_store_unavailable(self, error: Exception, wait: float) -> None:
        """The store did not answer; the pod tries again in ``wait`` seconds."""

    def on_refused(self, outcomes: int, step: Step | None, error: Exception) -> None:
        """The store refuses a request with so many outcomes. ``step`` is the one whose outcome is
        refused, or ``None`` while the pod searches for it."""

    def on_incarnation_ended(self, error: IncarnationEnded) -> None:
        """The store does not count the pod as living; it joins again."""

    def on_stuck(self, claims: Sequence[Claim]) -> None:
        """These steps cannot begin here, and are released."""

    def on_not_begun(self, step_id: str) -> None:
        """The step's start could not be recorded, so its function did not begin; the step is
        released."""

    def on_not_stopped(self, step_id: str, error: Exception) -> None:
        """A function could not be stopped."""

    def on_recovery_ended(self, stats: RecoveryStats, error: Exception | None) -> None:
        """A recovery cycle has ended, or failed with ``error``; another begins next interval, or
        soon if the store was unavailable."""

    def on_recovered(self, steps: Sequence[Step]) -> None:
        """This pod leads and has recovered these steps, orphans of ended pods: they are pending
        again, or failed."""

    def on_unserved(self, pairs: Sequence[tuple[str, str]]) -> None:
        """No live pod may take the pending steps of these pairs of queue and task type. Each pair
        is reported once, as long as it is unserved."""

    def on_fired(self, stats: FiringStats, error: Exception | None) -> None:
        """The due schedules have fired, or the error ended it; then it is tried again."""

    def on_not_fired(self, schedule: str, error: Exception) -> None:
        """A schedule could not fire; it is tried again after a recovery interval."""

    def on_alerts_postponed(self, error: Exception) -> None:
        """The leader could not look for alerts, or record one; it tries again after the next
        recovery cycle."""

    def on_prune_ended(self, stats: PruneStats, error: Exception | None) -> None:
        """A prune has ended, or failed with ``error``; another begins next interval, or with the
        next recovery cycle if the store was unavailable."""

    def on_unexpected(self, error: BaseException, wait: float) -> None:
        """The pod met an unexpected error; it continues in ``wait`` seconds."""

    def on_failed(self, error: BaseException) -> None:
        """The pod cannot continue: it stops its functions and releases its steps."""

    def on_not_released(self, error: BaseException) -> None:
        """The store did not release all steps of a failed pod."""

    def on_left(self, *, confirmed: bool) -> None:
        """The pod is gone; unless ``confirmed``, the store may still count it as living."""

    def close(self) -> None:
        """Nothing more is reported. May wait for a few seconds."""


class Observers(Observer):
    """Reports everything to several observers, in their order."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    @property
    def wants_completions(self) -> bool:
        return any(observer.wants_completions for observer in self._observers)

    @property
    def wants_unserved(self) -> bool:
        return any(observer.wants_unserved for observer in self._observers)

    @property
    def wants_ended(self) -> bool:
        return any(observer.wants_ended for observer in self._observers)


def _forward(name: str) -> Callable[..., None]:
    def report(self: Observers, *args: Any, **by_name: Any) -> None:
        for observer in self._observers:
            getattr(observer, name)(*args, **by_name)

    return report


for _name in vars(Observer):
    if _name.startswith("on_") or _name == "close":
        setattr(Observers, _name, _forward(_name))
