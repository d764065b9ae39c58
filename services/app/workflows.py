"""Workflows, what an app knows of its workflows: ``app.workflows.show(workflow_id)``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fleet_q.core.errors import InvalidInput, UnknownWorkflow
from fleet_q.core.lifecycle import OPEN, StepStatus
from fleet_q.core.retry import MICROS
from fleet_q.core.search import StepFilter
from fleet_q.core.step import Replay
from fleet_q.core.submission import check_id
from fleet_q.core.workflows import (
    Moment,
    TreeStep,
    WorkflowState,
    WorkflowStatus,
    WorkflowStep,
    parents_first,
    shortened,
)
from fleet_q.services.app.polling import check_may_wait
from fleet_q.services.app.search import BATCH, OnBatch, Search
from fleet_q.services.app.views import timestamp

PAGE: Final = 5_000
"""Steps of a workflow that are read at once."""

MOST_STEPS: Final = 100_000
"""The most steps of a workflow that is shown."""


@dataclass(frozen=True)
class WorkflowStepView:
    """A step of a workflow. ``after`` are the steps of the workflow that it waits or waited for, or
    the step that spawned it; it stands ``under`` one of them, the last that ended.

    ``waited`` are the seconds from when it could be claimed to its claim, and ``ran`` those from
    then to its end, with all tries and the pauses between them; ``error`` is the first line of that
    of the last attempt that failed, or why it was cancelled.
    """

    step_id: str
    status: StepStatus
    task_type: str | None
    attempt: int
    after: tuple[str, ...]
    under: str | None
    waited: float | None
    ran: float | None
    error: str | None

    @classmethod
    def of(cls, each: TreeStep, at: int) -> WorkflowStepView:
        """Make the view of a step, as read at store time ``at``."""
        step = each.timed.step
        return cls(
            step_id=step.step_id,
            status=step.status,
            task_type=step.task_type or None,
            attempt=step.retry_count + 1,
            after=each.timed.parents,
            under=each.under,
            waited=_seconds(each.timed.waited(at)),
            ran=_seconds(each.timed.ran(at)),
            error=next(iter((step.error or "").splitlines()), None),
        )


@dataclass(frozen=True)
class WorkflowView:
    """A workflow. ``counts`` are the numbers of its steps in each status, ``seconds`` how long it
    took or has taken. ``critical_path`` are the ids of the steps that made it take so long, in
    order. Each of the ``steps`` stands before those under it; ``left_out`` is how many others there
    are. Times are in UTC."""

    workflow_id: str
    name: str
    status: WorkflowStatus
    counts: dict[StepStatus, int]
    created_ts: str
    ended_ts: str | None
    seconds: float
    critical_path: list[str]
    steps: list[WorkflowStepView]
    left_out: int

    @classmethod
    def of(cls, workflow_id: str, state: WorkflowState, most: int | None) -> WorkflowView:
        """Make the view of a workflow with ``most`` of its steps."""
        lines = shortened(state.tree, state.critical_path, most or len(state.tree))
        steps = [each for each in lines if isinstance(each, TreeStep)]
        return cls(
            workflow_id=workflow_id,
            name=workflow_id.rpartition("-")[0] or workflow_id,
            status=state.status,
            counts=state.counts,
            created_ts=timestamp(state.created_ts),
            ended_ts=None if state.ended_ts is None else timestamp(state.ended_ts),
            seconds=state.took / MICROS,
            critical_path=state.critical_path,
            steps=[WorkflowStepView.of(each, state.at) for each in steps],
            left_out=len(state.tree) - len(steps),
        )


class Workflows:
    """The workflows in the store of ``app``. A workflow is what its steps are, so it is known by
    its id while any of them exists."""

    def __init__(self, app: Search) -> None:
        self._app = app

    def show(self, workflow_id: str, limit: int | None = None) -> WorkflowView:
        """Return a workflow with its steps, or with ``limit`` of them: those that failed, those of
        the critical path, those that run, and the first others. Raises ``UnknownWorkflow``."""
        if limit is not None and (type(limit) is not int or limit < 1):
            raise InvalidInput(f"limit must be 1 or more, not {limit!r}")
        return WorkflowView.of(workflow_id, self.state(workflow_id), limit)

    def state(self, workflow_id: str) -> WorkflowState:
        """Read the state of a workflow. Raises ``UnknownWorkflow``, and :class:`InvalidInput` for
        one with more than 100,000 steps."""
        check_id(workflow_id, "workflow_id")
        steps: list[WorkflowStep] = []
        moments: list[Moment] = []
        cursor: str | None = None
        while True:
            page = self._app.store.workflow_steps(workflow_id, PAGE, cursor)
            steps += page.steps
            moments += page.moments
            cursor = page.cursor
            if cursor is None:
                break
            if len(steps) >= MOST_STEPS:
                raise InvalidInput(
                    f"workflow {workflow_id!r} has more than {MOST_STEPS} steps; list them by"
                    " workflow_id instead"
                )
        if not steps:
            raise UnknownWorkflow(workflow_id)
        return WorkflowState.of(page.at, steps, moments)

    def wait(self, workflow_id: str, timeout: float | None = None) -> WorkflowStatus:
        """Wait until all steps of a workflow are final; return how it ended.

        Raises ``UnknownWorkflow``, ``TimeoutError`` after ``timeout`` seconds, and in a function of
        this app :class:`PermanentFailure`, like :meth:`fleet_q.FleetQ.wait`.
        """
        check_may_wait(self._app, f"workflow {workflow_id!r}")
        self._check_exists(workflow_id)
        self._app.wait_until(
            lambda: self._has_steps(workflow_id, *OPEN),
            lambda has_open: not has_open,
            timeout,
            lambda _: f"workflow {workflow_id!r} is still running",
        )
        for status in ("failed", "cancelled"):
            if self._has_steps(workflow_id, status):
                return status
        return "completed"

    def cancel(self, workflow_id: str, on_batch: OnBatch = lambda count: None) -> int:
        """Cancel all steps of a workflow that are not final; return how many were. Raises
        ``UnknownWorkflow``.

        This takes a transaction for every 500 steps; ``on_batch`` is called after each with the
        number of steps that it changed, and may raise to end it.
        """
        self._check_exists(workflow_id)
        total = 0
        while count := self._app.cancel_steps(workflow_id=workflow_id, on_batch=on_batch):
            total += count  # a step may have spawned others meanwhile
        return total

    def retry(
        self,
        workflow_id: str,
        *,
        cancelled: bool = False,
        on_batch: OnBatch = lambda count: None,
    ) -> int:
        """Replay the steps of a workflow that failed; return how many were. Steps that were
        cancelled because of them wait again. With ``cancelled``, also replay those that a user
        cancelled. Raises ``UnknownWorkflow``. See :meth:`cancel`."""
        statuses = ("failed", "cancelled") if cancelled else ("failed",)
        step_ids = [
            each.step_id
            for each in parents_first(self.state(workflow_id).steps)
            if each.step.status in statuses
        ]
        total = 0
        for begin in range(0, len(step_ids), BATCH):
            batch = step_ids[begin : begin + BATCH]
            count = len(self._app.change_allowed([Replay(step_id) for step_id in batch]))
            total += count
            on_batch(count)
        return total

    def _check_exists(self, workflow_id: str) -> None:
        if not self._has_steps(check_id(workflow_id, "workflow_id")):
            raise UnknownWorkflow(workflow_id)

    def _has_steps(self, workflow_id: str, *statuses: StepStatus) -> bool:
        selected = StepFilter(workflow_id=workflow_id, statuses=statuses)
        cursor: str | None = None
        while True:
            page = self._app.store.list_steps(selected, 1, cursor)
            cursor = page.cursor
            if page.steps or cursor is None:
                return bool(page.steps)


def in_words(counts: dict[StepStatus, int]) -> str:
    """The counts in words: ``3 completed, 1 failed``."""
    return ", ".join(f"{number} {status}" for status, number in counts.items())


def _seconds(micros: int | None) -> float | None:
    return None if micros is None else micros / MICROS
