"""A forked process uses a store that its parent opened."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fleet_q.adapters.snowflake.session import CAN_BE_FORKED
from fleet_q.core.ports import Store
from fleet_q.core.step import Submit
from tests.forking import Child
from tests.submitted import are_new

from .clock import FakeClock
from .helpers import submit
from .stores import StoreKind


@pytest.fixture(autouse=True)
def connector_can_be_forked(kind: StoreKind, request: pytest.FixtureRequest) -> None:
    if kind.name != "snowflake" or CAN_BE_FORKED:
        return
    if request.function is not test_child_gets_a_clear_error_if_the_connector_cannot_be_forked:
        pytest.skip("the connector's 5.x line cannot be used after a fork")


def test_child_gets_a_clear_error_if_the_connector_cannot_be_forked(
    kind: StoreKind, store: Store
) -> None:
    if kind.name != "snowflake" or CAN_BE_FORKED:
        pytest.skip("this store can be used after a fork")
    submit(store, "parent's")

    assert "start it with spawn" in Child(lambda: store.counts()).ended()

    assert store.counts()["pending"] == 1


def test_child_reads_and_writes_a_store_that_its_parent_opened(
    kind: StoreKind, store: Store
) -> None:
    submit(store, "parent's")

    child = Child(
        lambda: (are_new(store.submit([Submit("child's", "{}")])), store.counts()["pending"])
    )

    assert child.ended() == "([True], 2)"
    assert store.counts()["pending"] == (2 if kind.shared else 1)
    assert are_new(store.submit([Submit("parent's next", "{}")])) == [True]


def test_child_can_submit_after_its_parent_closed_the_store(
    kind: StoreKind, tmp_path: Path, clock: FakeClock
) -> None:
    store = kind.open(tmp_path, clock)
    submit(store, "parent's")
    child = Child(lambda: are_new(store.submit([Submit(f"child's {n}", "{}") for n in range(20)])))
    store.close()

    assert child.ended() == repr([True] * 20)

    if kind.shared:
        again = kind.open(tmp_path, clock)
        assert again.counts()["pending"] == 21
        again.close()


def test_parent_keeps_its_store_when_a_child_closes_and_collects_it(store: Store) -> None:
    submit(store, "one")

    def close() -> None:
        store.close()
        gc.collect()

    assert Child(close).ended() == "None"

    assert store.counts()["pending"] == 1
    assert are_new(store.submit([Submit("two", "{}")])) == [True]


def test_change_by_a_child_changes_the_parents_change_counter(
    kind: StoreKind, store: Store
) -> None:
    before = store.change_counter()
    Child(lambda: submit(store, "child's")).ended()
    assert not kind.shared or store.change_counter() != before


def test_fork_waits_for_transactions_of_other_threads(store: Store) -> None:
    """The child lacks the other threads, so locks that they hold would never be released."""
    with _submitting(store):
        result = [Child(lambda: bool(store.counts())).ended() for _ in range(5)]
    assert result == ["True"] * 5


def test_grandchild_uses_a_store_that_its_grandparent_opened(kind: StoreKind, store: Store) -> None:
    """A program that becomes a daemon forks twice."""
    submit(store, "parent's")

    result = Child(lambda: Child(lambda: submit(store, "grandchild's")).ended()).ended()

    assert "Error" not in result
    assert store.counts()["pending"] == (2 if kind.shared else 1)


def test_child_does_not_consume_events_that_its_parent_reads(store: Store) -> None:
    submit(store, *(f"step {number}" for number in range(5)))
    events = store.step_events()
    first = next(events)

    child = Child(lambda: (len(list(events)), are_new(store.submit([Submit("child's", "{}")]))))
    result = child.ended()

    assert "again" in result or result == "(4, [True])"
    rest = [event.stream for event in events]
    assert [first.stream, *rest] == [f"step {number}" for number in range(5)]


def test_child_uses_the_store_while_its_parent_reads_events(store: Store) -> None:
    submit(store, *(f"step {number}" for number in range(5)))
    events = store.step_events()
    next(events)
    assert Child(lambda: are_new(store.submit([Submit("child's", "{}")]))).ended() == "[True]"
    assert len(list(events)) == 4


@contextmanager
def _submitting(store: Store) -> Iterator[None]:
    ended = threading.Event()
    count = 0

    def work() -> None:
        nonlocal count
        while not ended.is_set():
            count += 1
            store.submit([Submit(f"busy {threading.get_ident()} {count}", "{}")])

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()
