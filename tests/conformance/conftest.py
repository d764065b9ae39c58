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

QUICK_ON_SLOW_STORES: Final = (
    "test_submit", "test_claim", "test_sync", "test_cancel_replay", "test_change_counter",
    "test_counts", "test_history", "test_recovery_cycle",
)  # fmt: skip
"""Modules in which the first case of each test is not marked slow on a store with slow calls."""


WHOLE_WITH_EACH_CONNECTOR: Final = ("test_text", "test_threads", "test_fork", "test_stateful")
"""Modules of which all runs with each line of Snowflake's connector. Of others that are not quick,
one test does: it makes their calls."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    met = set()
    for item in items:
        if isinstance(item, pytest.Function) and _has_slow_calls(item):
            module = item.path.stem
            is_quick = module in QUICK_ON_SLOW_STORES and item.function not in met
            if not is_quick:
                item.add_marker(pytest.mark.slow)
            if is_quick or module not in met or module in WHOLE_WITH_EACH_CONNECTOR:
                item.add_marker(pytest.mark.connector)
            met |= {module, item.function}


def _has_slow_calls(item: pytest.Function) -> bool:
    kind = item.callspec.params.get("kind") if hasattr(item, "callspec") else None
    return isinstance(kind, StoreKind) and kind.writes_are_billed


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> StoreKind:
    store_kind: StoreKind = request.param
    return store_kind


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(kind: StoreKind, tmp_path: Path, clock: FakeClock) -> Iterator[Store]:
    """An empty store. After the test, its tables must equal the log."""
    store = kind.open(tmp_path, clock)
    yield store
    assert_sound(store)
    store.close()
    kind.discard(tmp_path)


@pytest.fixture
def clients(
    kind: StoreKind, store: Store, tmp_path: Path, clock: FakeClock
) -> Iterator[list[Store]]:
    """Four clients of one store; four times the same one if the store has only one."""
    if not kind.shared:
        yield [store] * 4
        return
    more = [kind.open(tmp_path, clock) for _ in range(3)]
    yield [store, *more]
    for client in more:
        client.close()
