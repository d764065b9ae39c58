"""Default implementations of what transactions do with dependencies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fleet_q.core import dependencies
from fleet_q.core.changes import Changes
from fleet_q.core.dependencies import Dependency
from fleet_q.core.lifecycle import FINAL, STEP, StepStatus
from fleet_q.core.past_reads import PastReads
from fleet_q.core.step import Cancel, Change, MakeReady, Replay, Restore, Step, Submit


class Settling(PastReads):
    """Implements what a transaction does with dependencies. An override must have the same
    result."""

    made_ready = False
    """Whether the transaction has made steps pending that waited for others, or stored children."""

    def settle(self, ended: Mapping[str, StepStatus], by: str | None) -> None:
        if not ended or not self.has_dependencies():
            return
        dependents = self.dependents(ended)
        if not dependents:
            return
        settlement = dependencies.settle(ended, dependents)
        self.delete_dependencies(settlement.satisfied)
        waiting = self.with_dependencies(settlement.freed)
        ready = [step_id for step_id in settlement.freed if step_id not in waiting]
        self.made_ready |= bool(ready)
        self.end_waits(ready, settlement.fallen, by)

    def end_waits(self, ready: Sequence[str], fallen: Mapping[str, str], by: str | None) -> None:
        changes = Changes(self, by, [*ready, *fallen])
        for step_id in ready:
            changes.apply(MakeReady(step_id))
        for step_id, error in fallen.items():
            changes.apply(Cancel(step_id, error))
        changes.write()

    def restore(self, step_ids: Sequence[str], by: str | None) -> None:
        changes = Changes(self, by, step_ids)
        for step_id in step_ids:
            changes.apply(Restore(step_id))
        changes.write()

    def wait(
        self, new: Sequence[Submit], statuses: Mapping[str, StepStatus], by: str | None
    ) -> None:
        """Record what new steps wait for, and settle what has ended already. ``statuses`` are those
        of their parents."""
        required = [
            Dependency(parent_id, submit.step_id, kind)
            for submit in new
            for parent_id, kind in dependencies.parents_of(submit.parents).items()
        ]
        self.write_dependencies(required)
        self.settle({p: status for p, status in statuses.items() if status in FINAL}, by)

    def with_parents(
        self, commands: Sequence[Change], changes: Changes, *, all_or_none: bool
    ) -> list[Change | Restore]:
        """The commands for these: steps whose parents have not all ended are restored instead of
        replayed, and those are left out that a parent forbids to replay, or with ``all_or_none``
        :class:`ParentNotReplayed` is raised. The dependencies of the others are recorded."""
        replayed = {
            command.step_id: step
            for command in commands
            if isinstance(command, Replay)
            and (step := changes.steps.get(command.step_id)) is not None
            and STEP.allows(step.status, "replayed")
        }
        parents = {
            parent_id: None
            for step in replayed.values()
            for parent_id in dependencies.parents_of(step.parents)
        }
        if not parents:
            return list(commands)
        statuses = self.statuses(list(parents))
        replays = dependencies.replays(replayed, statuses)
        for step_id, parent_id in replays.refused.items():
            if all_or_none:
                raise dependencies.refusal(step_id, parent_id, statuses.get(parent_id))
        self.delete_dependencies_of([command.step_id for command in replays.commands])
        self.write_dependencies(replays.dependencies)
        instead = {command.step_id: command for command in replays.commands}
        return [
            instead.get(command.step_id, command)
            for command in commands
            if command.step_id not in replays.refused
        ]

    def follow(
        self, commands: Sequence[Change | Restore], before: Mapping[str, Step], by: str | None
    ) -> None:
        """What follows from commands of clients that were carried out. ``before`` are the steps as
        they were before them."""
        if not self.has_dependencies():
            return
        cancelled = [
            command.step_id
            for command in commands
            if isinstance(command, Cancel) and before[command.step_id].status not in FINAL
        ]
        if cancelled:
            self.delete_dependencies_of(cancelled)
            self.settle(dict.fromkeys(cancelled, "cancelled"), by)
        replayed = [c.step_id for c in commands if isinstance(c, Replay | Restore)]
        if replayed:
            self.wait_again([*replayed, *self._restore_fallen(replayed, by)])

    def _restore_fallen(self, replayed: Sequence[str], by: str | None) -> list[str]:
        """Restore what fell with steps that were replayed."""
        fallen = self.fallen(replayed)
        if not fallen:
            return []
        parents = {
            step_id: dependencies.parents_of(text)
            for step_id, text in self.parents_columns(fallen).items()
        }
        statuses = self.statuses(list({parent for kinds in parents.values() for parent in kinds}))
        restored = dependencies.restored(parents, statuses)
        self.restore(restored, by)
        self.delete_dependencies_of(restored)
        statuses |= dict.fromkeys(restored, "waiting")
        self.write_dependencies(
            [
                dependency
                for step_id in restored
                for dependency in dependencies.required(step_id, parents[step_id], statuses)
            ]
        )
        return restored
