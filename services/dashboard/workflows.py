"""The pages about workflows: the latest ones, and one as a graph and as a tree."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from starlette.responses import Response

from fleet_q.core.errors import InvalidInput
from fleet_q.core.lifecycle import STEP_STATUSES, StepStatus
from fleet_q.core.search import StepFilter
from fleet_q.core.workflows import WorkflowStatus, status_of
from fleet_q.services.app.search import StepRow
from fleet_q.services.app.workflows import WorkflowStepView, WorkflowView
from fleet_q.services.dashboard.forms import Form
from fleet_q.services.dashboard.graph import graph_of
from fleet_q.services.dashboard.pages import Done, Pages
from fleet_q.services.dashboard.visit import Visit

WORKFLOWS: Final = 25
"""How many workflows a list has."""

STEPS_A_READ: Final = 1_000
MOST_READS: Final = 3
"""How many steps are looked at for a list of workflows at a time, and how often at most."""

MOST_ROWS: Final = 100
"""The most steps in the tree of a workflow."""


@dataclass
class WorkflowRow:
    """A workflow in a list, as far as its steps were looked at."""

    workflow_id: str
    created_ts: str
    last_update_ts: str
    numbers: dict[StepStatus, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name that it was given, which is the first part of its id."""
        return self.workflow_id.rpartition("-")[0] or self.workflow_id

    @property
    def counts(self) -> dict[StepStatus, int]:
        """How many of its steps are in each status, without zeros."""
        return {each: self.numbers[each] for each in STEP_STATUSES if each in self.numbers}

    @property
    def status(self) -> WorkflowStatus:
        """The status of the workflow."""
        return status_of(self.numbers)

    @property
    def size(self) -> int:
        """How many of its steps were looked at."""
        return sum(self.numbers.values())

    def add(self, step: StepRow) -> None:
        """Count a step that is older than those before."""
        self.created_ts = step.created_ts
        self.last_update_ts = max(self.last_update_ts, step.last_update_ts)
        self.numbers[step.status] = self.numbers.get(step.status, 0) + 1


@dataclass(frozen=True)
class WorkflowList:
    """The latest workflows among ``searched`` steps of workflows. ``cursor`` continues the search,
    and the last of the workflows may have more steps there; ``None``: there are no more steps."""

    workflows: list[WorkflowRow]
    searched: int
    cursor: str | None


Read = Callable[[str | None], tuple[list[StepRow], str | None]]
"""Returns some steps of workflows, the latest first, and where to go on."""


def latest(read: Read, cursor: str | None) -> WorkflowList:
    """The workflows of the steps that ``read`` returns from ``cursor`` on."""
    rows: dict[str, WorkflowRow] = {}
    searched = 0
    for _ in range(MOST_READS):
        steps, cursor = read(cursor)
        searched += len(steps)
        _add(rows, steps)
        if cursor is None or len(rows) >= WORKFLOWS:
            break
    return WorkflowList(list(rows.values()), searched, cursor)


def _add(rows: dict[str, WorkflowRow], steps: Iterable[StepRow]) -> None:
    for step in steps:
        if step.workflow_id is None:
            continue
        row = rows.get(step.workflow_id)
        if row is None:
            row = WorkflowRow(step.workflow_id, step.created_ts, step.last_update_ts)
            rows[step.workflow_id] = row
        row.add(step)


@dataclass(frozen=True)
class TreeRow:
    """A line of the tree of a workflow: a step, ``depth`` levels below its first ones."""

    step: WorkflowStepView
    depth: int


def tree_of(steps: Iterable[WorkflowStepView]) -> list[TreeRow]:
    """The steps of a view with their depths."""
    depths: dict[str, int] = {}
    rows = []
    for step in steps:
        depth = depths.get(step.under, -1) + 1 if step.under is not None else 0
        depths[step.step_id] = depth
        rows.append(TreeRow(step, depth))
    return rows


def add_workflows(pages: Pages) -> None:
    """Add the pages about workflows, and what cancels and retries them."""

    @pages.page("workflows", "Workflows")
    def workflows(visit: Visit) -> Response:
        cursor = visit.query("cursor")
        found = visit.read(("workflows", cursor), lambda: latest(_reader_of(visit), cursor))
        return visit.render("workflows.html", found=found)

    @pages.page("workflow", under="workflows")
    def workflow(visit: Visit) -> Response:
        workflow_id = visit.query("id")
        if workflow_id is None:
            raise InvalidInput("the address of this page names no workflow")
        whole, short = visit.read(
            ("workflow", workflow_id),
            lambda: (_workflow(visit, workflow_id), _workflow(visit, workflow_id, MOST_ROWS)),
        )
        return visit.render(
            "workflow.html",
            workflow=short,
            graph=graph_of(whole.steps, whole.critical_path),
            tree=tree_of(short.steps),
            critical=set(whole.critical_path),
        )

    @pages.action("cancel-workflow")
    def cancel(visit: Visit, form: Form) -> Done:
        workflow_id = form["id"]
        steps = visit.fleet.workflows.cancel(workflow_id)
        return Done(f"{steps} steps of workflow {workflow_id} are cancelled.")

    @pages.action("retry-workflow")
    def retry(visit: Visit, form: Form) -> Done:
        workflow_id = form["id"]
        steps = visit.fleet.workflows.retry(workflow_id)
        return Done(f"{steps} failed steps of workflow {workflow_id} are replayed.")


def _reader_of(visit: Visit) -> Read:
    at = visit.at

    def read(cursor: str | None) -> tuple[list[StepRow], str | None]:
        if at is None:
            page = visit.reader.steps(limit=STEPS_A_READ, cursor=cursor, in_workflow=True)
            return page.steps, page.cursor
        then = visit.past.steps(at, StepFilter(in_workflow=True), STEPS_A_READ, cursor)
        return then.steps, then.cursor

    return read


def _workflow(visit: Visit, workflow_id: str, limit: int | None = None) -> WorkflowView:
    if visit.at is None:
        return visit.reader.workflows.show(workflow_id, limit)
    return visit.past.workflow(workflow_id, visit.at, limit)
