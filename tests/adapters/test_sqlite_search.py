"""Lists of steps in a long history on SQLite: what a page reads, and where it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fleet_q.adapters.sqlite import search
from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.core.search import StepFilter, StepList
from fleet_q.core.step import Submit

STEPS = 100


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqliteStore]:
    """A store in which a page looks at few rows: every tenth of 100 steps is rare."""
    monkeypatch.setattr(search, "MOST_SEARCHED", 8)
    monkeypatch.setattr(search, "MOST_INDEXED", 12)
    with closing(SqliteStore(tmp_path / "q.db")) as store:
        for number in range(STEPS):
            kind = "rare" if number % 10 == 0 else "common"
            store.submit([Submit(f"{kind} {number:02}", "{}", task_type=kind, unique=True)])
        yield store


def pages(store: SqliteStore, step_filter: StepFilter, limit: int = 5) -> list[StepList]:
    pages = [store.list_steps(step_filter, limit)]
    while pages[-1].cursor is not None:
        pages.append(store.list_steps(step_filter, limit, pages[-1].cursor))
    return pages


def rare(*numbers: int) -> list[str]:
    return [f"rare {number:02}" for number in numbers]


def ids(pages: list[StepList]) -> list[str]:
    return [step.step_id for page in pages for step in page.steps]


def test_page_looks_at_few_rows_and_may_be_empty_without_being_the_last(
    store: SqliteStore,
) -> None:
    found = pages(store, StepFilter(task_types=("rare",)))

    assert max(page.searched for page in found) == 8
    assert () in [page.steps for page in found[:-1]]
    assert ids(found) == rare(*range(90, -1, -10))


def test_steps_with_a_rare_status_are_found_by_its_index(store: SqliteStore) -> None:
    for step_id in rare(30, 0, 60):
        store.cancel(step_id)

    [page] = pages(store, StepFilter(statuses=("cancelled", "claimed")))

    assert ids([page]) == rare(60, 30, 0)
    assert page.searched == 3


def test_steps_with_a_rare_prefix_are_found_by_their_ids(store: SqliteStore) -> None:
    [first, second] = pages(store, StepFilter(id_prefix="rare"), limit=6)

    assert ids([first, second]) == rare(*range(90, -1, -10))


def test_steps_of_a_workflow_are_found_by_its_index(store: SqliteStore) -> None:
    store.submit([Submit(f"flow {n}", "{}", unique=True, workflow_id="flow") for n in range(9)])
    store.submit([Submit(f"later {number}", "{}", unique=True) for number in range(20)])

    found = pages(store, StepFilter(workflow_id="flow", statuses=("pending",)), limit=6)

    assert ids(found) == [f"flow {number}" for number in range(8, -1, -1)]
    assert {page.searched for page in found} == {9}
    assert ids(pages(store, StepFilter(in_workflow=True), limit=6)) == ids(found)


def test_steps_with_a_frequent_status_are_found_among_the_latest(store: SqliteStore) -> None:
    found = pages(store, StepFilter(statuses=("pending",), task_types=("rare",)))

    assert max(page.searched for page in found) == 8
    assert ids(found) == rare(*range(90, -1, -10))


def test_search_ends_at_rows_that_are_older_than_wanted(store: SqliteStore) -> None:
    latest = store.step("common 99")
    assert latest is not None

    found = pages(store, StepFilter(submitted_from=latest.created_ts + 1))

    assert len(found) == 1
