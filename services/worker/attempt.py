"""One attempt at a step: its context, and the outcome of what its function returns or raises."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Sequence
from typing import Any

from fleet_q.core.errors import InvalidInput, StartNotRecorded
from fleet_q.core.retry import RetryPolicy
from fleet_q.core.step import Complete, Fail, Outcome, Release, Step, Submit
from fleet_q.core.submission import MAX_RESULT_BYTES, check_seconds, to_json
from fleet_q.services.app.callables import is_awaitable
from fleet_q.services.app.context import Snooze, StepContext, current, is_permanent
from fleet_q.services.app.description import described
from fleet_q.services.app.retries import Retries, kinds_of
from fleet_q.services.app.tasks import Task


class Attempt:
    """A claimed step, with the context that its function sees. A result that is larger than
    ``max_result_bytes`` as JSON fails the step. ``task`` is its task once that is found."""

    __slots__ = ("_retry_policy", "claim_token", "context", "max_result_bytes", "step", "task")

    def __init__(
        self, step: Step, retry_policy: RetryPolicy, max_result_bytes: int = MAX_RESULT_BYTES
    ) -> None:
        assert step.claim_token is not None
        self.step = step
        self.claim_token = step.claim_token
        self.context = StepContext(step)
        self.max_result_bytes = max_result_bytes
        self.task: Task[Any, Any] | None = None
        self._retry_policy = retry_policy

    def begin(self) -> None:
        """Make ``current_step()`` return this step, in the current ``contextvars`` context. A
        runner gives every attempt a context of its own."""
        current.set(self.context)

    def began(self) -> None:
        """The function begins in a child process."""

    def succeeded(self, result: Any) -> Outcome:
        """The outcome of a function that returned ``result``."""
        try:
            task = self.task
            if task is not None and task.encode_result is not None:
                result = task.encode_result(result)
            text = to_json(result, "the result", self.max_result_bytes)
            return Complete(
                self.step.step_id, self.claim_token, text, *self.context.take_children()
            )
        except BaseException as error:  # encoding may call methods of the result
            return self.failed(error, permanent=True)  # a retry would repeat the work

    def returned(
        self, result: str, children: Sequence[Submit] = (), detached: Sequence[str] = ()
    ) -> Outcome:
        """The outcome of a function that returned ``result``, a JSON text, and spawned steps."""
        step_id, token = self.step.step_id, self.claim_token
        return Complete(step_id, token, result, tuple(children), tuple(detached))

    def failed(self, error: BaseException, *, permanent: bool = False) -> Outcome:
        """The outcome of a function that raised ``error``, or was not begun because of it."""
        if type(error) is StartNotRecorded:
            return self.released()
        if not permanent and (seconds := snoozed_for(error)) is not None:
            return self.snoozed(seconds)
        permanent = permanent or is_permanent(error)
        return self.failed_with(*described(error), permanent=permanent, kinds=kinds_of(type(error)))

    def released(self) -> Outcome:
        """The outcome of an attempt whose function must not begin here."""
        return Release(self.step.step_id, self.claim_token)

    def snoozed(self, seconds: float) -> Outcome:
        """The outcome of a function that put its step off for so many seconds."""
        return self._retry_policy.snooze(self.step, self.claim_token, seconds)

    def failed_in_pod(self, error: BaseException) -> Outcome:
        """The outcome of an attempt that failed because of the pod, which raised ``error``."""
        return self.failed_with(*described(error))

    def failed_with(
        self,
        error: str,
        trace: str | None,
        *,
        permanent: bool = False,
        kinds: Collection[str] | None = None,
    ) -> Outcome:
        """The outcome of a failed attempt, from the error's message and traceback. ``kinds`` are
        the names of the classes of the function's exception; ``None`` if it raised none."""
        step, retries = self.step, self._retries
        if retries is not None and kinds is not None:
            permanent = permanent or retries.gives_up(kinds)
        return self._policy.fail(
            step.step_id, self.claim_token, step.attempt, error, trace, permanent=permanent
        )

    def timed_out(self, timeout: float) -> Fail | None:
        """The outcome if its function will run longer than ``timeout`` seconds; ``None`` if that is
        as the settings say."""
        step, retries = self.step, self._retries
        if retries is None:
            return None
        permanent = retries.gives_up(kinds_of(TimeoutError))
        return self._policy.timed_out(
            step.step_id, self.claim_token, step.attempt, timeout, permanent=permanent
        )

    @property
    def _retries(self) -> Retries | None:
        return None if self.task is None else self.task.retries

    @property
    def _policy(self) -> RetryPolicy:
        retries = self._retries
        return self._retry_policy if retries is None else retries.policy(self._retry_policy)


def snoozed_for(error: BaseException) -> float | None:
    """For how many seconds the function put its step off that raised ``error``; ``None`` if it did
    not: classes that derive from ``Snooze`` may hold anything."""
    if not issubclass(type(error), Snooze):
        return None
    try:
        seconds = error.seconds  # type: ignore[attr-defined]
        check_seconds(seconds, "seconds")
        return float(seconds)
    except Exception:
        return None


def result_text(task: Task[Any, Any], result: Any, max_result_bytes: int) -> str:
    """``result`` of ``task`` as JSON. Raises ``InvalidInput`` if it has no JSON form, is an
    awaitable or larger than ``max_result_bytes``, and whatever its methods raise."""
    if is_awaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise InvalidInput("the function returned an awaitable, which cannot be awaited here")
    return to_json(task.result_to_json(result), "the result", max_result_bytes)
