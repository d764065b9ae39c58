"""A claim costs no more for many steps in front of it that it may not take."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.claims import CASES, Case, measure

IN_FRONT = 20_000


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_claim_costs_no_more_behind_steps_that_it_may_not_take(tmp_path: Path, case: Case) -> None:
    """Reading so many steps would take a hundred times as long."""
    assert measure(tmp_path, case, IN_FRONT).ratio < 10
