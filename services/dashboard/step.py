"""The page of a step, and what it does to the step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from fleet_q.core.dependencies import Kind, parents_of
from fleet_q.core.errors import InvalidInput
from fleet_q.core.lifecycle import STEP, StepStatus
from fleet_q.core.step import Reprioritize
from fleet_q.core.submission import check_id
from fleet_q.services.app.views import StepView
from fleet_q.services.dashboard.forms import Form
from fleet_q.services.dashboard.life import life_of
from fleet_q.services.dashboard.pages import Done, Pages
from fleet_q.services.dashboard.steps import priority_of
from fleet_q.services.dashboard.visit import Visit

MOST_SEARCHED: Final = 2_000
"""Steps of a workflow that are looked at to find those that wait for a step."""

MOST_SHOWN: Final = 100
"""The most relatives of one kind that are listed."""


@dataclass(frozen=True)
class Relative:
    """A step that this one waits for, or that waits for this one or was spawned by it. ``status``
    is ``None`` if it is unknown."""

    step_id: str
    status: StepStatus | None
    how: Kind | None
    task_type: str | None


def add_step(pages: Pages) -> None:
    """Add the page of a step."""

    @pages.page("step", under="steps")
    def step(visit: Visit) -> Response:
        step_id = check_id(visit.query("id") or "", "the step's id")
        past, reader = visit.past, visit.reader
        view = visit.read_at(
            ("step", step_id),
            lambda: reader.status(step_id),
            lambda at: past.step(step_id, at),
        )
        history = visit.read_at(
            ("history", step_id),
            lambda: reader.history(step_id),
            lambda at: past.history(step_id, at),
        )
        parents = visit.read(("parents", step_id), lambda: _parents(visit, view))
        children = visit.read(("children", step_id), lambda: _children(visit, view))
        life = life_of(visit.shown(history), visit.at or visit.now)
        return visit.render(
            "step.html",
            step=visit.shown(view),
            life=life,
            parents=parents[:MOST_SHOWN],
            more_parents=max(0, len(parents) - MOST_SHOWN),
            children=children[:MOST_SHOWN],
            more_children=max(0, len(children) - MOST_SHOWN),
            can={event: STEP.allows(view.status, event) for event in _EVENTS},
        )

    @pages.action("cancel-step")
    def cancel(visit: Visit, form: Form) -> Done:
        view = visit.fleet.cancel(form["id"])
        return Done(f"Step {view.step_id} is {view.status}.")

    @pages.action("replay-step")
    def replay(visit: Visit, form: Form) -> Done:
        visit.fleet.replay([form["id"]])
        return Done(f"Step {form['id']} is pending again, with all its tries.")

    @pages.action("reprioritize-step")
    def reprioritize(visit: Visit, form: Form) -> Done:
        priority = priority_of(form.get("priority"))
        if not visit.fleet.change_allowed([Reprioritize(form["id"], priority)]):
            raise InvalidInput(f"step {form['id']!r} has this priority, or is no longer pending")
        return Done(f"Step {form['id']} has the priority {priority}.")


_EVENTS: Final = ("cancelled", "replayed", "reprioritized")


def _parents(visit: Visit, view: StepView) -> Sequence[Relative]:
    if not view.parents:
        return ()
    at = visit.at
    if at is None:
        known = visit.reader.parents(view.step_id)
    else:
        known = visit.past.parents(view.step_id, at)
    return [
        Relative(
            parent_id,
            known[parent_id].status if parent_id in known else None,
            kind,
            known[parent_id].task_type if parent_id in known else None,
        )
        for parent_id, kind in view.parents.items()
    ]


def _children(visit: Visit, view: StepView) -> Sequence[Relative]:
    """The steps of its workflow that wait or waited for a step, or that it spawned."""
    if view.workflow_id is None:
        return ()
    at = visit.at
    page = visit.reader.store.workflow_steps(view.workflow_id, MOST_SEARCHED)
    children = []
    for step in page.steps:
        kind = parents_of(step.parents).get(view.step_id)
        is_child = kind is not None or step.spawned_by == view.step_id
        if is_child and (at is None or step.created_ts <= at):
            status = step.status if at is None or step.last_update_ts <= at else None
            children.append(Relative(step.step_id, status, kind, step.task_type or None))
    return children
