"""What a mutation is: a guard of the code that is patched away while a simulation runs.

The code itself knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Final
from unittest.mock import patch

import msgspec

from fleet_q.services.simulation.fleet import simulate
from fleet_q.services.simulation.generate import draw

MOST_SEEDS: Final = 200
"""Seeds within which every guard's loss is noticed."""

Patch = Callable[[], AbstractContextManager[Any]]


class Mutation(msgspec.Struct, frozen=True):
    """A guard, by what it keeps from happening."""

    guard: str
    removed: Patch


class Finding(msgspec.Struct, frozen=True):
    """Whether the loss of a guard was noticed: by which promise, and after how many seeds."""

    guard: str
    promise: str | None
    seeds: int


def look_for(mutation: Mutation, most_seeds: int = MOST_SEEDS) -> Finding:
    """Simulate without the guard until a promise breaks."""
    for seed in range(1, most_seeds + 1):
        with mutation.removed():
            outcome = simulate(draw(seed))
        if outcome.violation is not None:
            return Finding(mutation.guard, outcome.violation.promise, seed)
    return Finding(mutation.guard, None, most_seeds)


def replaced(owner: Any, name: str, make: Callable[[Any], Any]) -> Patch:
    """Replace a function by what ``make`` makes of it."""
    return lambda: patch.object(owner, name, make(getattr(owner, name)))


def allowed(lifecycle: Any, status: str, trigger: str, leads_to: str) -> Patch:
    """Allow a change of status that the lifecycle does not."""
    return lambda: patch.dict(lifecycle._after, {(status, trigger): leads_to})


def with_arguments(**changed: Any) -> Callable[[Any], Any]:
    """Call a function with other arguments than those given."""
    return lambda function: lambda *args, **kwargs: function(*args, **{**kwargs, **changed})


def nothing(_: Any) -> Any:
    """Do nothing instead."""
    return lambda *args, **kwargs: None


def together(*patches: Patch) -> Patch:
    """Apply all of these."""

    @contextmanager
    def removed() -> Iterator[None]:
        with ExitStack() as stack:
            for each in patches:
                stack.enter_context(each())
            yield

    return removed
