"""The dependencies of steps in a SQLite file, which change with a few statements for many steps."""

from __future__ import annotations

import sqlite3
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from fleet_q.adapters import rows
from fleet_q.adapters.statements import statements
from fleet_q.core.dependencies import Dependency, Dependent
from fleet_q.core.lifecycle import StepStatus
from fleet_q.core.step_by_step import StepByStep

_INSERT: Final = statements("sqlite")["insert_dependency"]


class SqliteDependencies(StepByStep):
    """What a :class:`fleet_q.core.ports.Transaction` does with dependencies."""

    _has_no_delayed: bool | None = None  # as long as no step is written

    @abstractmethod
    def _run(self, name: str, values: dict[str, Any] | tuple[()] = ()) -> sqlite3.Cursor:
        """Run a statement by its name."""

    @abstractmethod
    def _run_many(self, text: str, values: Iterable[Sequence[Any]]) -> None:
        """Run a statement, given by its text, for each row of values."""

    def statuses(self, step_ids: Sequence[str]) -> dict[str, StepStatus]:
        return dict(self._run("statuses", _step_ids(step_ids)).fetchall())

    def has_dependencies(self) -> bool:
        row: tuple[int] = self._run("has_dependencies").fetchone()
        return bool(row[0])

    def dependents(self, ended: Mapping[str, StepStatus]) -> list[Dependent]:
        is_lost = {step_id: status != "completed" for step_id, status in ended.items()}
        return [Dependent(*row) for row in self._run("dependents", {"ended": rows.encode(is_lost)})]

    def parents_columns(self, step_ids: Sequence[str]) -> dict[str, str]:
        return dict(self._run("parents_columns", _step_ids(step_ids)).fetchall())

    def dependencies_of(self, step_ids: Sequence[str]) -> list[Dependency]:
        return [Dependency(*row) for row in self._run("dependencies_of", _step_ids(step_ids))]

    def with_dependencies(self, step_ids: Sequence[str]) -> set[str]:
        return {row[0] for row in self._run("with_dependencies", _step_ids(step_ids))}

    def fallen(self, step_ids: Sequence[str]) -> list[str]:
        return [row[0] for row in self._run("fallen", _step_ids(step_ids))]

    def waiting_below(self, step_ids: Sequence[str]) -> set[str]:
        return {row[0] for row in self._run("waiting_below", _step_ids(step_ids))}

    def write_dependencies(self, added: Sequence[Dependency]) -> None:
        self._run_many(_INSERT, [(d.parent_id, d.child_id, d.kind) for d in added])

    def wait_again(self, parent_ids: Sequence[str], *, are_new: bool = False) -> None:
        values = {"parent_ids": rows.encode(parent_ids), "least_version": 2 if are_new else 1}
        self._run("wait_again", values)

    def delete_dependencies(self, removed: Sequence[Dependency]) -> None:
        self._run("delete_dependencies", {"removed": rows.encode(removed)})

    def delete_dependencies_of(self, step_ids: Sequence[str]) -> None:
        self._run("delete_dependencies_of", _step_ids(step_ids))

    def end_waits(self, ready: Sequence[str], fallen: Mapping[str, str], by: str | None) -> None:
        if ready:
            self._has_no_delayed = None
            values = {"now": self.at, **_step_ids(ready)}
            self._run("append_ready", {"pod_id": by, **values})
            self._run("make_ready", values)
        if fallen:
            values = {"now": self.at, "errors": rows.encode(fallen)}
            self._run("append_fallen", {"pod_id": by, **values})
            self._run("cancel_fallen", values)

    def restore(self, step_ids: Sequence[str], by: str | None) -> None:
        values = {"now": self.at, **_step_ids(step_ids)}
        self._run("append_restored", {"pod_id": by, **values})
        self._run("restore", values)

    def _parents_of_open_steps(self, step_ids: Sequence[str]) -> set[str]:
        return {row[0] for row in self._run("parents_of_open_steps", _step_ids(step_ids))}


def _step_ids(step_ids: Sequence[str]) -> dict[str, Any]:
    return {"step_ids": rows.encode(step_ids)}
