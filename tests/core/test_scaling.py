"""How many pods are wanted for the steps that wait and run."""

from __future__ import annotations

import pytest

from fleet_q.core.scaling import SOON, wanted_pods


@pytest.mark.parametrize(
    ("steps", "pods"), [(0, 0), (1, 1), (6, 1), (7, 2), (12, 2), (13, 3), (600, 100)]
)
def test_pods_have_a_slot_for_every_step(steps: int, pods: int) -> None:
    assert wanted_pods(steps, 6, due_in=None) == pods


@pytest.mark.parametrize(("due_in", "pods"), [(None, 0), (0.0, 1), (SOON, 1), (SOON + 1, 0)])
def test_one_pod_is_wanted_shortly_before_a_step_becomes_due(
    due_in: float | None, pods: int
) -> None:
    assert wanted_pods(0, 6, due_in=due_in) == pods
    assert wanted_pods(60, 6, due_in=due_in) == 10


@pytest.mark.parametrize(
    ("steps", "least", "most", "pods"),
    [(0, 2, None, 2), (60, 2, None, 10), (60, 0, 4, 4), (60, 0, 0, 0), (0, 3, 3, 3)],
)
def test_wanted_pods_are_bounded(steps: int, least: int, most: int | None, pods: int) -> None:
    assert wanted_pods(steps, 6, due_in=None, least=least, most=most) == pods
