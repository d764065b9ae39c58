"""Reports what happens to a pod's steps to the hooks of its app."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from time import monotonic
from typing import Any, Final

from msgspec.structs import replace

from fleet_q.core.retry import RetryPolicy
from fleet_q.core.step import Complete, Fail, Outcome, Release, Snooze, Step, is_retried
from fleet_q.core.submission import MAX_RESULT_BYTES
from fleet_q.core.worker.functions import Claim
from fleet_q.core.worker.observer import Observer
from fleet_q.services.app.hooks import Hook, HookEvent, HookName, Hooks
from fleet_q.services.app.views import StepView
from fleet_q.services.worker.attempt import Attempt
from fleet_q.services.worker.hook_thread import HookThread

MOST_WATCHED: Final = 10_000
"""The most attempts that are remembered until their outcomes are recorded."""


class WatchedAttempt(Attempt):
    """An attempt that remembers what its function raised, and for how many seconds it ran."""

    __slots__ = ("_began_at", "_ended_at", "_watched", "exception")

    def __init__(
        self,
        watched: WatchedAttempts,
        step: Step,
        retry_policy: RetryPolicy,
        max_result_bytes: int = MAX_RESULT_BYTES,
    ) -> None:
        super().__init__(step, retry_policy, max_result_bytes)
        self.exception: BaseException | None = None
        self._began_at: float | None = None
        self._ended_at: float | None = None
        self._watched = watched

    def begin(self) -> None:
        super().begin()
        self.began()

    def began(self) -> None:
        self._began_at = monotonic()
        self._watched.add(self)

    @property
    def duration(self) -> float | None:
        """For how many seconds the function ran; ``None`` if it never began."""
        if self._began_at is None:
            return None
        return (self._ended_at or monotonic()) - self._began_at

    def succeeded(self, result: Any) -> Outcome:
        self._ended_at = monotonic()
        return super().succeeded(result)

    def returned(self, *args: Any) -> Outcome:
        self._ended_at = monotonic()
        return super().returned(*args)

    def failed(self, error: BaseException, *, permanent: bool = False) -> Outcome:
        self._ended_at = self._ended_at or monotonic()
        if not self.context.cancelled:  # it timed out, or its claim is lost
            self.exception = error
        return super().failed(error, permanent=permanent)


class WatchedAttempts:
    """The attempts of a pod from the beginning of their functions until their outcomes are
    recorded. For any thread."""

    def __init__(self) -> None:
        self._attempts: OrderedDict[Claim, WatchedAttempt] = OrderedDict()

    def add(self, attempt: WatchedAttempt) -> None:
        """The function of ``attempt`` begins."""
        self._attempts[attempt.step.step_id, attempt.claim_token] = attempt
        while len(self._attempts) > MOST_WATCHED:
            self._attempts.popitem(last=False)

    def take(self, step: Step) -> WatchedAttempt | None:
        """Remove the attempt at ``step``; ``None`` if its function did not begin."""
        assert step.claim_token is not None
        return self._attempts.pop((step.step_id, step.claim_token), None)


class HookObserver(Observer):
    """Calls the ``hooks`` of an app in a thread of their own."""

    def __init__(
        self,
        pod_id: str,
        hooks: Hooks,
        loop: asyncio.AbstractEventLoop | None,
        watched: WatchedAttempts,
    ) -> None:
        self._pod_id = pod_id
        self._hooks = hooks
        self._watched = watched
        self._thread = HookThread(pod_id, loop)

    @property
    def wants_completions(self) -> bool:
        return True  # to forget the attempt, too

    def on_claimed(self, steps: Sequence[Step]) -> None:
        if hooks := self._hooks.of("claimed"):
            for step in steps:
                self._put("claimed", hooks, step, None)

    def on_recorded(self, outcome: Outcome, step: Step, *, refused: bool) -> None:
        attempt = self._watched.take(step)
        if refused:
            self._report("lost", step, attempt)
            return
        match outcome:
            case Complete(result=result):
                after = replace(step, status="completed", result=result, error=None, traceback=None)
                self._report("completed", after, attempt)
            case Fail(error=error, traceback=trace) if is_retried(step, outcome):
                after = replace(_released(step), error=error, traceback=trace)
                after = replace(after, retry_count=step.retry_count + 1)
                self._report("retried", after, attempt)
            case Fail(error=error, traceback=trace):
                after = replace(step, status="failed", error=error, traceback=trace)
                self._report("failed", after, attempt)
                self._report("dead_letter", after, attempt)
            case Snooze():
                after = replace(_released(step), snoozes=step.snoozes + 1)
                self._report("snoozed", after, attempt)
            case Release():
                self._report("released", _released(step), attempt)

    def on_lost(self, step: Step) -> None:
        self._report("lost", step, self._watched.take(step))

    def on_claimed_again(self, step: Step) -> None:
        self.on_lost(step)

    def on_recovered(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self._report("dead_letter" if step.status == "failed" else "recovered", step, None)

    def catch_up(self) -> None:
        """Wait until the hooks have been called for what has happened so far."""
        self._thread.catch_up()

    def close(self) -> None:
        self._thread.close()

    def _report(self, name: HookName, step: Step, attempt: WatchedAttempt | None) -> None:
        if hooks := self._hooks.of(name):
            self._put(name, hooks, step, attempt)

    def _put(
        self,
        name: HookName,
        hooks: Sequence[Hook],
        step: Step,
        attempt: WatchedAttempt | None,
    ) -> None:
        duration = None if attempt is None else attempt.duration
        exception = None if attempt is None else attempt.exception
        make = partial(_event, name, step, self._pod_id, exception, duration)
        self._thread.put(hooks, make, len(step.payload) + len(step.result or ""))


def _event(
    name: HookName,
    step: Step,
    pod_id: str,
    exception: BaseException | None,
    duration: float | None,
) -> HookEvent:
    has_error = name in ("retried", "failed", "recovered", "dead_letter")
    return HookEvent(
        name,
        StepView.of(step),
        # A step that was retried or recovered has used up a try since.
        step.attempt - (name in ("retried", "recovered") and step.retry_count > 0),
        pod_id,
        step.error if has_error else None,
        step.traceback if has_error else None,
        exception if has_error else None,
        duration,
    )


def _released(step: Step) -> Step:
    """The step as it is once its claim has ended and it is pending."""
    return replace(step, status="pending", claimed_by=None, incarnation=None, claim_token=None)
