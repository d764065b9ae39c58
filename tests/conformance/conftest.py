"""Every test here that asks for a store runs on every kind of store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from fleet_q.core.ports import Store

from .clock import FakeClock
from .helpers import assert_sound
from .stores import KINDS, StoreKind

QUICK_WHERE_CALLS_ARE_DEAR: Final = (
    "test_submit", "test_claim", "test_turn", "test_cancel_replay", "test_bell", "test_counts",
    "test_history", "test_recovery_cycle", "test_stateful",
)  # fmt: skip
"""What is not slow on a store whose calls take long: the first case of each test in these."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    has_quick_case = set()
    for item in items:
        if isinstance(item, pytest.Function) and _is_dear(item):
            if item.path.stem not in QUICK_WHERE_CALLS_ARE_DEAR or item.function in has_quick_case:
                item.add_marker(pytest.mark.slow)
            has_quick_case.add(item.function)


def _is_dear(item: pytest.Function) -> bool:
    kind = item.callspec.params.get("kind") if hasattr(item, "callspec") else None
    return isinstance(kind, StoreKind) and kind.writes_are_billed


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> StoreKind:
    found: StoreKind = request.param
    return found


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(kind: StoreKind, tmp_path: Path, clock: FakeClock) -> Iterator[Store]:
    """An empty store; whatever a test did to it, its log and its tables must agree at the end."""
    store = kind.open(tmp_path, clock)
    yield store
    assert_sound(store)
    store.close()
    kind.discard(tmp_path)


@pytest.fixture
def clients(
    kind: StoreKind, store: Store, tmp_path: Path, clock: FakeClock
) -> Iterator[list[Store]]:
    """Four clients of one store; where a store has but one client, that one four times."""
    if not kind.shared:
        yield [store] * 4
        return
    more = [kind.open(tmp_path, clock) for _ in range(3)]
    yield [store, *more]
    for client in more:
        client.close()
