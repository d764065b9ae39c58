"""ClaimedStep, a step that a caller works on by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from fleet_q.core.errors import FleetQError, InvalidInput
from fleet_q.core.retry import RetryPolicy, micros
from fleet_q.core.step import Complete, Outcome, Release, Step
from fleet_q.core.stored_json import labels_of, object_of
from fleet_q.core.submission import check_seconds, to_json
from fleet_q.services.app.checkpoint import Checkpoint, Saver, progress_json
from fleet_q.services.app.children import Children
from fleet_q.services.app.description import shortened
from fleet_q.services.app.submitter import NewStep
from fleet_q.services.app.tasks import Registry
from fleet_q.services.worker.attempt import Attempt, snoozed_for
from fleet_q.services.worker.by_hand import StepsByHand
from fleet_q.services.worker.careful_log import CarefulLogger

if TYPE_CHECKING:
    from fleet_q.services.app.tracing import Ending, Tracing

log = CarefulLogger("fleet_q.consumer")


class Endings:
    """Ends claims. ``retry_policy`` gives the delay before a retry, unless the step's task in
    ``registry`` has a policy of its own; a result has at most ``max_result_bytes`` as JSON;
    ``saver`` stores checkpoints. Each method returns a future that is done once it is stored, and
    raises :class:`InvalidInput`, changing nothing, for an invalid value."""

    def __init__(
        self,
        steps: StepsByHand,
        registry: Registry,
        retry_policy: RetryPolicy,
        max_result_bytes: int,
        saver: Saver,
    ) -> None:
        self.saver = saver
        self._steps = steps
        self._registry = registry
        self._retry_policy = retry_policy
        self._max_result_bytes = max_result_bytes

    @property
    def tracing(self) -> Tracing | None:
        """What makes spans of steps, if the app is traced."""
        return self._registry.tracing

    def is_held(self, step: Step) -> bool:
        """Whether the pod holds the step's claim, as far as it knows."""
        return self._steps.held(step.step_id, _token_of(step)) is not None

    def complete(
        self, step: Step, result: Any, children: Iterable[NewStep] = ()
    ) -> Future[Outcome]:
        """Complete the step. The result may be what its task is annotated to return; ``children``
        are stored with it."""
        task = self._registry.named(step.task_type)
        if task is not None:
            result = task.result_to_json(result)
        text = to_json(result, "the result", self._max_result_bytes)
        spawned = Children(step)
        for child in children:
            spawned.add(child, detached=False)
        return self._steps.end(Complete(step.step_id, _token_of(step), text, *spawned.take()))

    def fail(self, step: Step, error: BaseException | str, permanent: bool) -> Future[Outcome]:
        """Fail the attempt."""
        attempt = Attempt(step, self._retry_policy)
        attempt.task = self._registry.named(step.task_type)
        if isinstance(error, str):
            outcome: Outcome = attempt.failed_with(shortened(error), None, permanent=permanent)
        elif isinstance(error, BaseException):
            outcome = attempt.failed(error, permanent=permanent)
        else:
            raise InvalidInput(f"error must be an exception or a text, not {error!r}")
        return self._steps.end(outcome)

    def requeue(self, step: Step, delay: float) -> Future[Outcome]:
        """Release the step."""
        check_seconds(delay, "delay")
        return self._steps.end(Release(step.step_id, _token_of(step), micros(delay)))

    def snooze(self, step: Step, seconds: float) -> Future[Outcome]:
        """Put the step off; if that was done too often before, fail it."""
        check_seconds(seconds, "seconds")
        return self._steps.end(self._retry_policy.snooze(step, _token_of(step), seconds))


class ClaimedStep:
    """A step that a consumer has claimed, and works on until it completes, fails or requeues it.

    As a context manager, with ``with`` or ``async with`` as the consumer, it completes with
    :attr:`result` at the end, fails on an exception, and is requeued by those that end a program or
    a task: ``KeyboardInterrupt``, ``SystemExit``, ``CancelledError``. It is put off by
    :class:`~fleet_q.Snooze`; every other exception propagates. A step that was ended in the body is
    left alone.
    """

    __slots__ = (
        "_checkpoint", "_ending", "_endings", "_has_ended", "_payload", "_span", "_step", "result",
    )  # fmt: skip

    def __init__(self, step: Step, endings: Endings) -> None:
        self._step = step
        self._endings = endings
        self._payload: dict[str, Any] | None = None
        self._checkpoint: Checkpoint | None = None
        self._has_ended = False
        self._span: AbstractContextManager[Ending] | None = None
        self._ending: Ending | None = None
        self.result: Any = None
        """What the step completes with at the end of ``with``: a JSON value."""

    @property
    def step_id(self) -> str:
        """The step's id."""
        return self._step.step_id

    @property
    def payload(self) -> dict[str, Any]:
        """The payload, decoded at the first use."""
        if self._payload is None:
            self._payload = object_of(self._step.payload)
        return self._payload

    @property
    def task_type(self) -> str | None:
        """The payload's ``task_type``; ``None`` if it has none."""
        return self._step.task_type or None

    @property
    def queue(self) -> str:
        """The queue that the step waited in."""
        return self._step.queue

    @property
    def key(self) -> str | None:
        """The key within its queue that the step was submitted with."""
        return self._step.key

    @property
    def labels(self) -> dict[str, str]:
        """The labels that the step was submitted with."""
        return labels_of(self._step.labels)

    @property
    def attempt(self) -> int:
        """The number of the attempt, from 1."""
        return self._step.attempt

    @property
    def max_retries(self) -> int:
        """How many attempts may follow the first."""
        return self._step.max_retries

    @property
    def priority(self) -> int:
        """The step's priority."""
        return self._step.priority

    @property
    def has_ended(self) -> bool:
        """Whether it was completed, failed, put off or requeued; that may not be stored yet."""
        return self._has_ended

    @property
    def is_lost(self) -> bool:
        """Whether the claim is lost: the step was cancelled, or recovered by the leader. The pod
        learns that with a heartbeat."""
        return not self._has_ended and not self._endings.is_held(self._step)

    def __repr__(self) -> str:
        return f"<ClaimedStep {self.step_id!r}, attempt {self.attempt}>"

    @property
    def saved(self) -> Any:
        """What :meth:`Consumer.save` saved of it last, under this claim or an earlier one; ``None``
        if nothing was."""
        return self.checkpoint.saved

    def progress(self, fraction: float | None = None, text: str | None = None) -> None:
        """See :meth:`StepContext.progress`. It never blocks."""
        step, saver = self._step, self._endings.saver
        saver.report_progress(step.step_id, _token_of(step), progress_json(fraction, text))

    @property
    def checkpoint(self) -> Checkpoint:
        """What saves it. One thread at a time may make it."""
        if self._checkpoint is None:
            self._checkpoint = Checkpoint(self._step, self._endings.saver)
        return self._checkpoint

    def complete(self, result: Any, children: Iterable[NewStep] = ()) -> Future[Outcome]:
        """See :meth:`Consumer.complete_step`; the future is done once it is stored."""
        self._check_not_ended()
        return self._ended(self._endings.complete(self._step, result, children))

    def fail(self, error: BaseException | str, permanent: bool) -> Future[Outcome]:
        """See :meth:`Consumer.fail_step`; the future is done once it is stored."""
        self._check_not_ended()
        self._ends_as("failed")
        return self._ended(self._endings.fail(self._step, error, permanent))

    def requeue(self, delay: float) -> Future[Outcome]:
        """See :meth:`Consumer.requeue_step`; the future is done once it is stored."""
        self._check_not_ended()
        self._ends_as("released")
        return self._ended(self._endings.requeue(self._step, delay))

    def snooze(self, seconds: float) -> Future[Outcome]:
        """See :meth:`Consumer.snooze_step`; the future is done once it is stored."""
        self._check_not_ended()
        self._ends_as("snoozed")
        return self._ended(self._endings.snooze(self._step, seconds))

    def __enter__(self) -> Self:
        self._begin_span()
        return self

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> bool:
        self._end_span(error)
        is_snooze = error is not None and snoozed_for(error) is not None
        if self._has_ended:
            return is_snooze
        if error is None:
            try:
                self.complete(self.result).result()
            except InvalidInput as invalid:
                self.fail(invalid, True).result()
                raise
            return False
        try:
            self._interrupted(error).result()
        except FleetQError as problem:
            self._log_problem(problem)
        return is_snooze

    async def __aenter__(self) -> Self:
        self._begin_span()
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> bool:
        self._end_span(error)
        is_snooze = error is not None and snoozed_for(error) is not None
        if self._has_ended:
            return is_snooze
        if error is None:
            try:
                await asyncio.wrap_future(self.complete(self.result))
            except InvalidInput as invalid:
                await asyncio.wrap_future(self.fail(invalid, True))
                raise
            return False
        try:
            await asyncio.wrap_future(self._interrupted(error))
        except FleetQError as problem:
            self._log_problem(problem)
        return is_snooze

    def _begin_span(self) -> None:
        tracing = self._endings.tracing
        if tracing is not None:
            self._span = tracing.processing(self._step)
            self._ending = self._span.__enter__()

    def _end_span(self, error: BaseException | None) -> None:
        span, self._span = self._span, None
        if span is not None:
            span.__exit__(None if error is None else type(error), error, None)

    def _ends_as(self, outcome: str) -> None:
        if self._ending is not None:
            self._ending.outcome = outcome

    def _interrupted(self, error: BaseException) -> Future[Outcome]:
        return self.fail(error, False) if isinstance(error, Exception) else self.requeue(0)

    def _log_problem(self, problem: FleetQError) -> None:
        log.warning("its failure is not recorded: %s", problem, extra={"step": self.step_id})

    def _check_not_ended(self) -> None:
        if self._has_ended:
            raise InvalidInput(
                f"step {self.step_id!r} was already completed, failed, put off or requeued"
            )

    def _ended(self, future: Future[Outcome]) -> Future[Outcome]:
        self._has_ended = True
        return future


def _token_of(step: Step) -> str:
    assert step.claim_token is not None
    return step.claim_token
