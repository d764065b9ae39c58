"""The machine: steps that the limits of their queues hold back."""

from __future__ import annotations

import pytest

from tests.core.helpers import AT, Driver


@pytest.mark.parametrize(("held_back", "claims"), [(True, 6), (False, 0)])
def test_outcomes_claim_what_they_make_room_for(held_back: bool, claims: int) -> None:
    driver = Driver()
    driver.sync_once("a", held_back=held_back)
    assert driver.plan().request is None
    driver.finish("a")
    request = driver.sync()
    assert len(request.outcomes) == 1
    assert request.claim == claims


def test_pod_does_not_claim_again_while_steps_are_held_back() -> None:
    driver = Driver()
    driver.sync_once(held_back=True)
    plan = driver.plan()
    assert plan.request is None
    assert plan.next_at == 105.0  # the next claim


def test_pod_claims_when_its_queue_has_the_next_token() -> None:
    driver = Driver()
    driver.sync_once(held_back=True, next_due=AT + 2_000_000)
    assert driver.plan().next_at == 102.0
    driver.wait(2)
    assert driver.sync().claim == 6


def test_pod_does_not_claim_with_outcomes_once_nothing_is_held_back() -> None:
    driver = Driver()
    driver.sync_once("a", held_back=True)
    driver.finish("a")
    driver.sync_once("b")
    driver.finish("b")
    assert driver.sync().claim == 0
