"""Default implementations of what stores new steps: submissions, and children of steps."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from typing import Final

import msgspec

from fleet_q.core import dependencies, uniqueness
from fleet_q.core import step as steps
from fleet_q.core.changes import Changes
from fleet_q.core.dependencies import Dependency, Dependent
from fleet_q.core.errors import (
    IllegalTransition,
    InvalidInput,
    StaleClaim,
    StepConflict,
    UniqueKeyTaken,
    UnknownStep,
)
from fleet_q.core.lifecycle import FINAL, StepStatus
from fleet_q.core.ports import SubmitResult
from fleet_q.core.settling import Settling
from fleet_q.core.step import AddParents, Complete, Fail, Outcome, Step, Submit

REFUSED: Final = "its children cannot be stored: {}"
"""The error of a step that failed because of its children; a format string for the reason."""


class _Plan(msgspec.Struct, frozen=True):
    """What a submission changes, its results by id, those of the new steps that have parents with
    the statuses of these, and those whose ids earlier steps may have had, which were pruned."""

    changes: Changes
    results: dict[str, SubmitResult]
    with_parents: list[Submit]
    statuses: dict[str, StepStatus]
    reused: list[str]


class Spawning(Settling):
    """Implements what a transaction does to store new steps. An override must have the same
    result."""

    def submit_many(self, new: Sequence[Submit], by: str | None) -> list[SubmitResult]:
        plan = self._plan(new, by)
        self._write(plan)
        if plan.with_parents:
            self.wait(plan.with_parents, plan.statuses, by)
        return uniqueness.results_of(new, plan.results)

    def spawn(self, complete: Complete, by: str | None) -> bool:
        """Complete a step and store its children; returns whether its claim was current. A step
        that was completed so before has stored its children then. If the children cannot be stored,
        the step fails for good."""
        changes = Changes(self, by, [complete.step_id])
        step = changes.steps.get(complete.step_id)
        try:
            event = steps.decide(step, complete, self.at, by)
        except (StaleClaim, IllegalTransition, UnknownStep):
            return False
        if event is None:
            return True
        dependents = self._waiting_for(complete.step_id)
        plan: _Plan | None = None
        try:
            if not all(child.is_independent for child in complete.children):
                plan = self._plan(complete.children, by, steps.evolve(step, event))
                if dependents:
                    self._check_no_circle(complete, plan, dependents)
        except (InvalidInput, StepConflict, UniqueKeyTaken, UnknownStep) as error:
            changes.apply(refusal(complete, error))
            changes.write()
            self.settle({complete.step_id: "failed"}, by)
            return True
        changes.apply(complete)
        changes.write()
        self.made_ready = True
        if plan is None:
            results = self.submit_many(complete.children, by)
        else:
            self._write(plan)
            results = uniqueness.results_of(complete.children, plan.results)
        ended: dict[str, StepStatus] = {complete.step_id: "completed"}
        if dependents and (attached := attached_steps(complete, results)):
            ended |= self._attach(attached, dependents, by)
        if plan is not None and plan.with_parents:
            self.wait(plan.with_parents, plan.statuses, by)
        self.settle(ended, by)
        return True

    def _plan(self, new: Sequence[Submit], by: str | None, completed: Step | None = None) -> _Plan:
        """What a submission changes. ``completed``: a step that is completed before, which is not
        written yet. Raises what a submission raises."""
        merged = uniqueness.merged(new)
        dependencies.check_no_circle(merged)
        changes = Changes(self, by, [s.step_id for s in merged if not s.unique])
        unique_keys = {s.unique_key for s in merged if s.unique_key is not None}
        with_keys = self.steps_with_unique_keys(unique_keys) if unique_keys else []
        if completed is not None:
            with_keys = [completed if s.step_id == completed.step_id else s for s in with_keys]
        owners = uniqueness.owners(with_keys, self.at)
        merged = uniqueness.with_owners_as_parents(new, merged, owners, changes.steps)
        results: dict[str, SubmitResult] = {}
        with_parents: list[Submit] = []
        reused: list[str] = []
        for submit in merged:
            owner = owners.get(submit.unique_key) if submit.unique_key is not None else None
            if owner is None or submit.step_id in changes.steps:
                is_new = changes.apply(submit)
                results.setdefault(submit.step_id, SubmitResult(submit.step_id, is_new))
                if is_new and submit.parents is not None:
                    with_parents.append(submit)
                if is_new and not submit.unique:
                    reused.append(submit.step_id)
                continue
            replace = uniqueness.replacement(owner, submit)
            if replace is not None:
                changes.add([owner])
                changes.apply(replace)
            results[submit.step_id] = SubmitResult(owner.step_id, is_new=False)
        known = dict(changes.steps)
        if completed is not None:
            known[completed.step_id] = completed
        statuses = self._statuses_of(with_parents, known)
        return _Plan(changes, results, with_parents, statuses, reused)

    def _statuses_of(
        self, with_parents: Sequence[Submit], known: Mapping[str, Step]
    ) -> dict[str, StepStatus]:
        """The statuses of the parents of new steps. Raises :class:`UnknownStep`."""
        parents = dict.fromkeys(
            parent_id
            for submit in with_parents
            for parent_id in dependencies.parents_of(submit.parents)
        )
        unread = [parent_id for parent_id in parents if parent_id not in known]
        statuses = self.statuses(unread) if unread else {}
        statuses |= {p: known[p].status for p in parents if p in known}
        for parent_id in parents:
            if parent_id not in statuses:
                raise UnknownStep(parent_id)
        return statuses

    def _write(self, plan: _Plan) -> None:
        plan.changes.write()
        if plan.reused and self.has_dependencies():
            self.wait_again(plan.reused, are_new=True)

    def _waiting_for(self, step_id: str) -> list[Dependent]:
        """The dependencies of waiting steps on this one."""
        if not self.has_dependencies():
            return []
        dependents = self.dependents({step_id: "completed"})
        return [dependent for dependent in dependents if dependent.child_status == "waiting"]

    def _check_no_circle(
        self, complete: Complete, plan: _Plan, dependents: Sequence[Dependent]
    ) -> None:
        """Raise :class:`InvalidInput` if a child would wait for a step that waits for it."""
        results = uniqueness.results_of(complete.children, plan.results)
        outside = needed_outside(attached_steps(complete, results), plan.with_parents)
        if outside:
            waiting = [dependent.child_id for dependent in dependents]
            check_outside(complete.step_id, outside, {*waiting, *self.waiting_below(waiting)})

    def _attach(
        self, attached: Sequence[str], dependents: Sequence[Dependent], by: str | None
    ) -> dict[str, StepStatus]:
        """Let the ``dependents`` of a step wait for its children, too. Returns the statuses of
        those that have ended."""
        changes = Changes(self, by, [dependent.child_id for dependent in dependents])
        added: list[Dependency] = []
        for child_id, kind in ((dependent.child_id, dependent.kind) for dependent in dependents):
            parents = dependencies.parents_of(changes.steps[child_id].parents)
            more = {step_id: kind for step_id in attached if step_id not in parents}
            if more:
                changes.apply(AddParents(child_id, dependencies.parents_json(parents | more)))
                added += (Dependency(step_id, child_id, kind) for step_id in more)
        changes.write()
        self.write_dependencies(added)
        statuses = self.statuses(attached)
        return {step_id: status for step_id, status in statuses.items() if status in FINAL}


def spawning_in(outcomes: Sequence[Outcome]) -> list[Complete]:
    """The completions among these outcomes that have children."""
    return [o for o in outcomes if isinstance(o, Complete) and o.children]


def spawns(outcome: Outcome) -> bool:
    """Whether this is a completion that has children."""
    return isinstance(outcome, Complete) and bool(outcome.children)


def refusal(complete: Complete, error: Exception) -> Fail:
    """What is recorded of a step whose children cannot be stored."""
    return Fail(complete.step_id, complete.claim_token, REFUSED.format(error), permanent=True)


def attached_steps(complete: Complete, results: Sequence[SubmitResult]) -> list[str]:
    """The steps that are, or stand for, the children for which others wait, given the ``results``
    of their submission."""
    detached = set(complete.detached)
    return list(
        dict.fromkeys(
            result.step_id
            for child, result in zip(complete.children, results, strict=True)
            if child.step_id not in detached and result.step_id != complete.step_id
        )
    )


def needed_outside(attached: Sequence[str], new: Sequence[Submit]) -> set[str]:
    """The steps, apart from the ``new`` ones, that end before the ``attached`` ones can: those of
    these that are not new, and the parents of others."""
    parents = {submit.step_id: dependencies.parents_of(submit.parents) for submit in new}
    outside: set[str] = set()
    seen: set[str] = set()
    open_steps = list(attached)
    while open_steps:
        step_id = open_steps.pop()
        if step_id in seen:
            continue
        seen.add(step_id)
        if step_id in parents:
            open_steps += parents[step_id]
        else:
            outside.add(step_id)
    return outside


def check_outside(step_id: str, outside: Collection[str], waiting: Set[str]) -> None:
    """Raise :class:`InvalidInput` if children of the step need one that waits for the step."""
    if not waiting.isdisjoint(outside):
        raise in_a_circle(step_id)


def in_a_circle(step_id: str) -> InvalidInput:
    """The error of children that wait for a step which waits for them."""
    return InvalidInput(
        f"they wait for a step that waits for step {step_id!r}, and so for them;"
        " spawn them detached"
    )
