"""Dead letters, page by page."""

from __future__ import annotations

import pytest

from fleet_q.core.ports import Store

from .clock import FakeClock
from .helpers import completed_step, failed_step, ids, known


@pytest.fixture
def letters(store: Store, clock: FakeClock) -> list[str]:
    """Dead letters from the newest on, two of each age."""
    names = ["a", "b", "c", "d", "e", "f"]
    for name in names:
        failed_step(store, name)
        clock.advance(name in "bd")
    completed_step(store, "completed")
    return names[::-1]


def test_without_failures_there_are_none(store: Store) -> None:
    page = store.dead_letters(9)

    assert (page.steps, page.before) == ((), None)


def test_the_newest_come_first_as_they_are(store: Store, letters: list[str]) -> None:
    page = store.dead_letters(99)

    assert page.steps == tuple(known(store, name) for name in letters)
    assert page.before is None


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6])
def test_pages_show_each_letter_once(store: Store, letters: list[str], limit: int) -> None:
    page = store.dead_letters(limit)
    seen = ids(page.steps)
    while page.before is not None and len(seen) <= len(letters):
        page = store.dead_letters(limit, page.before)
        assert len(page.steps) <= limit
        seen += ids(page.steps)

    assert seen == letters


def test_a_replayed_letter_is_gone_from_the_next_page(store: Store, letters: list[str]) -> None:
    page = store.dead_letters(2)
    store.replay([letters[1], letters[2]])

    assert ids(store.dead_letters(9, page.before).steps) == letters[3:]
