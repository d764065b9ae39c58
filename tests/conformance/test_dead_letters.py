"""Dead letters, page by page."""

from __future__ import annotations

import pytest

from fleet_q.core.ports import Store

from .clock import FakeClock
from .helpers import completed_step, failed_step, ids, known


@pytest.fixture
def failed_ids(store: Store, clock: FakeClock) -> list[str]:
    """The ids of steps that failed, newest first; two failed at each time."""
    names = ["a", "b", "c", "d", "e", "f"]
    for name in names:
        failed_step(store, name)
        clock.advance(name in "bd")
    completed_step(store, "completed")
    return names[::-1]


def test_store_without_failures_has_no_dead_letters(store: Store) -> None:
    page = store.dead_letters(9)

    assert (page.steps, page.before) == ((), None)


def test_dead_letters_are_listed_newest_first(store: Store, failed_ids: list[str]) -> None:
    page = store.dead_letters(99)

    assert page.steps == tuple(known(store, name) for name in failed_ids)
    assert page.before is None


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6])
def test_pages_list_each_dead_letter_once(store: Store, failed_ids: list[str], limit: int) -> None:
    page = store.dead_letters(limit)
    seen = ids(page.steps)
    while page.before is not None and len(seen) <= len(failed_ids):
        page = store.dead_letters(limit, page.before)
        assert len(page.steps) <= limit
        seen += ids(page.steps)

    assert seen == failed_ids


def test_replayed_dead_letter_is_not_on_the_next_page(store: Store, failed_ids: list[str]) -> None:
    page = store.dead_letters(2)
    store.replay([failed_ids[1], failed_ids[2]])

    assert ids(store.dead_letters(9, page.before).steps) == failed_ids[3:]
