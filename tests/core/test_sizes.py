"""Sizes are bytes of UTF-8, and whatever a step holds is counted."""

from __future__ import annotations

import pytest

from fleet_q.core.sizes import size_of, sizes_of
from fleet_q.core.step import Complete, Fail, Outcome, Release, Submit, steps_to_claim
from fleet_q.core.worker.outbox import MOST_OUTCOME_BYTES, Outbox
from tests.core.helpers import Driver, live

TEXTS = {"": 0, "plain": 5, "ä": 2, "語": 3, "a🙂": 5, "\ud800": 3}


@pytest.mark.parametrize("text", TEXTS)
def test_size_is_in_bytes_of_utf8(text: str) -> None:
    assert size_of(text) == TEXTS[text]


def test_sizes_of_many_texts_are_those_of_each() -> None:
    assert sizes_of(TEXTS) == list(TEXTS.values())


def test_errors_and_tracebacks_count() -> None:
    assert Complete("a", "t", '"ä"').size == 4
    assert Fail("a", "t", "ä", "語").size == 5
    assert Fail("a", "t", "ä").size == 2
    assert Release("a", "t").size == 0


@pytest.mark.parametrize(
    "outcome",
    [
        Complete("a", "t", "語" * (MOST_OUTCOME_BYTES // 6)),
        Fail("a", "t", "boom", "語" * (MOST_OUTCOME_BYTES // 6)),
    ],
)
def test_outcomes_of_one_sync_are_limited_by_bytes(outcome: Outcome) -> None:
    outbox = Outbox()
    for _ in range(4):
        outbox.add(outcome)
    assert outbox.size == 4 * outcome.size
    assert not outbox.fits_in_one_sync
    assert len(outbox.batch()) < 4
    assert outbox.remove(4) == 4 * outcome.size
    assert outbox.size == 0


def test_claim_takes_payloads_by_bytes() -> None:
    queue = [live(Submit(name, '"' + "語" * 600_000 + '"')) for name in "abcd"]
    assert [step.step_id for step in steps_to_claim(queue, 4)] == ["a", "b"]


def test_pod_counts_the_bytes_of_what_it_holds() -> None:
    driver = Driver()
    driver.answer(driver.sync(), "a", "b", payload='"語"')
    assert driver.machine._held.size == 10
    driver.finish("a", '"ä"')
    assert (driver.machine._held.size, driver.machine._outbox.size) == (5, 4)
