"""Mutations: patches that remove one guard of the code while a simulation runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import msgspec

from fleet_q.services.simulation.fleet import simulate
from fleet_q.services.simulation.generate import draw

MOST_SEEDS: Final = 200
"""Seeds within which the removal of every guard is detected."""

SEEDS: Final = Path(__file__).with_name("seeds.json")
"""The seed that detected the removal of each guard when this file was written last. It is tried
first, which saves the search for one as long as the simulation draws the same."""

Patch = Callable[[], AbstractContextManager[Any]]


class Mutation(msgspec.Struct, frozen=True):
    """``guard``: the rule that the code enforces; ``removed``: patches the code not to."""

    guard: str
    removed: Patch


class Finding(msgspec.Struct, frozen=True):
    """The promise that broke without the guard, and the seed; ``None`` if none did."""

    guard: str
    promise: str | None
    seed: int | None


@cache
def known_seeds() -> dict[str, int]:
    """The seeds of the file ``SEEDS``, by guard."""
    return msgspec.json.decode(SEEDS.read_bytes(), type=dict[str, int])


def look_for(
    mutation: Mutation, most_seeds: int = MOST_SEEDS, promise: str | None = None
) -> Finding:
    """Simulate without the guard, first with the known seed and then with one after the other,
    until a promise breaks; until the given one breaks, if there is one."""
    known = known_seeds().get(mutation.guard)
    for seed in [*([known] if known else []), *range(1, most_seeds + 1)]:
        with mutation.removed():
            outcome = simulate(draw(seed))
        if outcome.violation is not None and promise in (None, outcome.violation.promise):
            return Finding(mutation.guard, outcome.violation.promise, seed)
    return Finding(mutation.guard, None, None)


def replaced(owner: Any, name: str, make: Callable[[Any], Any]) -> Patch:
    """Replace a function by ``make(function)``."""
    return lambda: patch.object(owner, name, make(getattr(owner, name)))


def allowed(lifecycle: Any, status: str, trigger: str, leads_to: str) -> Patch:
    """Allow a change of status that the lifecycle forbids."""
    return lambda: patch.dict(lifecycle._after, {(status, trigger): leads_to})


def with_arguments(**changed: Any) -> Callable[[Any], Any]:
    """Call a function with these keyword arguments instead of those given."""
    return lambda function: lambda *args, **kwargs: function(*args, **{**kwargs, **changed})


def nothing(_: Any) -> Any:
    """A replacement that does nothing."""
    return lambda *args, **kwargs: None


def together(*patches: Patch) -> Patch:
    """Apply all of these patches."""

    @contextmanager
    def removed() -> Iterator[None]:
        with ExitStack() as stack:
            for apply in patches:
                stack.enter_context(apply())
            yield

    return removed
