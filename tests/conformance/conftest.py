"""Every test here that asks for a store runs on every kind of store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet_q.core.ports import Store

from .clock import FakeClock
from .helpers import assert_sound
from .stores import KINDS, StoreKind


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
