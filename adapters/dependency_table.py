"""The dependencies of steps in memory, found by parent and by child."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping

from fleet_q.core.dependencies import Dependency, Dependent
from fleet_q.core.lifecycle import StepStatus

Status = Callable[[str], StepStatus]
"""The current status of a step."""


class DependencyTable:
    """The dependencies of a memory store."""

    def __init__(self, dependencies: Iterable[Dependency] = ()) -> None:
        self._by_parent: dict[str, dict[str, Dependency]] = {}
        self._by_child: dict[str, dict[str, Dependency]] = {}
        for dependency in dependencies:
            self.add(dependency)

    def __bool__(self) -> bool:
        return bool(self._by_child)

    def __iter__(self) -> Iterator[Dependency]:
        for dependencies in self._by_child.values():
            yield from dependencies.values()

    def add(self, dependency: Dependency) -> None:
        """Add a dependency."""
        parent_id, child_id = dependency.parent_id, dependency.child_id
        self._by_parent.setdefault(parent_id, {})[child_id] = dependency
        self._by_child.setdefault(child_id, {})[parent_id] = dependency

    def remove(self, dependency: Dependency) -> None:
        """Remove a dependency that the table has."""
        parent_id, child_id = dependency.parent_id, dependency.child_id
        del self._by_parent[parent_id][child_id], self._by_child[child_id][parent_id]
        if not self._by_parent[parent_id]:
            del self._by_parent[parent_id]
        if not self._by_child[child_id]:
            del self._by_child[child_id]

    def has(self, parent_id: str, child_id: str) -> bool:
        """Whether ``child_id`` depends on ``parent_id``."""
        return parent_id in self._by_child.get(child_id, ())

    def of(self, child_id: str) -> list[Dependency]:
        """The dependencies of a step."""
        return list(self._by_child.get(child_id, {}).values())

    def on(self, parent_id: str) -> list[Dependency]:
        """The dependencies on a step."""
        return list(self._by_parent.get(parent_id, {}).values())

    def dependents(self, ended: Mapping[str, StepStatus], status: Status) -> list[Dependent]:
        """See :meth:`fleet_q.core.ports.Transaction.dependents`."""
        dependents: dict[tuple[str, str], Dependent] = {}
        parents = deque(ended)
        lost = {step_id for step_id, ended_as in ended.items() if ended_as != "completed"}
        while parents:
            parent_id = parents.popleft()
            for dependency in self.on(parent_id):
                child_id, kind = dependency.child_id, dependency.kind
                child_status = status(child_id)
                dependents[parent_id, child_id] = Dependent(parent_id, child_id, kind, child_status)
                falls = parent_id in lost and kind == "success" and child_status == "waiting"
                if falls and child_id not in lost:
                    lost.add(child_id)
                    parents.append(child_id)
        return list(dependents.values())

    def fallen(self, step_ids: Iterable[str], status: Status) -> list[str]:
        """See :meth:`fleet_q.core.ports.Transaction.fallen`."""
        fallen: dict[str, None] = {}
        parents = deque(step_ids)
        while parents:
            for dependency in self.on(parents.popleft()):
                child_id = dependency.child_id
                is_fallen = dependency.kind == "success" and status(child_id) == "cancelled"
                if is_fallen and child_id not in fallen:
                    fallen[child_id] = None
                    parents.append(child_id)
        return list(fallen)

    def below(self, step_ids: Iterable[str]) -> set[str]:
        """See :meth:`fleet_q.core.ports.Transaction.waiting_below`."""
        below: set[str] = set()
        parents = deque(step_ids)
        while parents:
            for dependency in self.on(parents.popleft()):
                if dependency.child_id not in below:
                    below.add(dependency.child_id)
                    parents.append(dependency.child_id)
        return below
