"""Checks of steps that wait for others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from fleet_q.core import events as ev
from fleet_q.services.simulation.records import Records, StepRecord, require
from fleet_q.services.simulation.scenario import Work
from fleet_q.services.simulation.schedules import schedule_of

ENDED = ("completed", "failed", "cancelled")


class DependencyChecks:
    """Checks that a step is ready only when all of its parents have ended as it requires, that it
    falls only with one that did not, and that it waits no longer than that."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._children: dict[str, set[str]] = defaultdict(set)
        self._begun: list[tuple[str, str]] = []  # steps of the commit that wait no more, and how

    def submitted(
        self, step_id: str, record: StepRecord, fact: ev.Submitted, work: Work | None
    ) -> None:
        """A step was stored. Raises :class:`Violation`."""
        parents = {} if fact.parents is None else msgspec.json.decode(fact.parents)
        asked = {} if work is None else dict(work.after)
        require(
            parents == asked or schedule_of(step_id) != "",
            "parents first",
            step_id,
            "waits for {}, not {}",
            parents,
            asked,
        )
        record.parents = parents
        record.status = "waiting" if parents else "pending"
        for parent_id in parents:
            self._children[parent_id].add(step_id)

    def added(self, step_id: str, record: StepRecord, fact: ev.ParentsAdded) -> None:
        """A step waits for others, too. Raises :class:`Violation`."""
        parents = msgspec.json.decode(fact.parents)
        kept = {parent_id: parents.get(parent_id) for parent_id in record.parents}
        require(kept == record.parents, "parents first", step_id, "waits for {} only", parents)
        record.parents = parents
        for parent_id in parents:
            self._children[parent_id].add(step_id)

    def began(self, step_id: str, how: str) -> None:
        """A step may be claimed from now on: :meth:`check` checks its parents, as events of one
        commit have no order."""
        self._begun.append((step_id, how))

    def fell(self, step_id: str, record: StepRecord, error: str) -> None:
        """The store cancelled a step for this reason. Raises :class:`Violation`."""
        lost = [p for p in record.parents if self._is_lost(record, p)]
        require(
            any(f"parent {p} " in error for p in lost),
            "parents first",
            step_id,
            "fell because of {!r}, but lost {}",
            error,
            lost,
        )

    def check(
        self, changed: Iterable[str], new: Collection[str], spawned: Mapping[str, Sequence[str]]
    ) -> None:
        """Check what waits, and what may be claimed, after a commit that changed these steps, of
        which some are ``new``. ``spawned``: the attached children of steps that it completed, by
        their ids. Raises :class:`Violation`."""
        begun, self._begun = self._begun, []
        self._check_spawned(new, spawned, {step_id for step_id, _ in begun})
        for step_id, how in begun:
            record = self._records.steps[step_id]
            for parent_id in record.parents:
                require(
                    self._is_satisfied(record, parent_id),
                    "parents first",
                    step_id,
                    "was {} before {} had ended as it requires",
                    how,
                    parent_id,
                )
        for step_id in changed:
            record = self._records.steps[step_id]
            if record.parents:
                self._check_waits(step_id, record)
            if record.status in ENDED:
                for child_id in self._children.get(step_id, ()):
                    self._check_waits(child_id, self._records.steps[child_id])

    def _check_spawned(
        self, new: Collection[str], spawned: Mapping[str, Sequence[str]], begun: Collection[str]
    ) -> None:
        """Check that what waited for a step waits for its children, too."""
        for spawner, attached in spawned.items():
            for step_id in self._children.get(spawner, ()):
                record = self._records.steps[step_id]
                if step_id in new or not (record.status == "waiting" or step_id in begun):
                    continue
                for child_id in attached:
                    require(
                        child_id in record.parents,
                        "parents first",
                        step_id,
                        "does not wait for {}, which {} spawned",
                        child_id,
                        spawner,
                    )

    def check_pruned(self, step_id: str) -> None:
        """Check that no open step has this parent. Raises :class:`Violation`."""
        for child_id in self._children.get(step_id, ()):
            child = self._records.steps[child_id]
            require(
                child.pruned or child.status in ENDED,
                "pruning",
                step_id,
                "was pruned before its child {} had ended",
                child_id,
            )

    def _check_waits(self, step_id: str, record: StepRecord) -> None:
        if record.status != "waiting":
            return
        lost = [p for p in record.parents if self._is_lost(record, p)]
        is_open = not all(self._is_satisfied(record, p) for p in record.parents)
        require(
            is_open and not lost,
            "a waiting step ends",
            step_id,
            "waits on, though its parents have ended",
        )

    def _is_satisfied(self, record: StepRecord, parent_id: str) -> bool:
        parent = self._records.steps[parent_id]
        kind = record.parents[parent_id]
        return parent.pruned or parent.status in (ENDED if kind == "finished" else ENDED[:1])

    def _is_lost(self, record: StepRecord, parent_id: str) -> bool:
        parent = self._records.steps[parent_id]
        return parent.status in ENDED and not self._is_satisfied(record, parent_id)
