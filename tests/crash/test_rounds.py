"""A few short rounds of the crash test; ``python -m tests.crash`` runs more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.plan import StoreKind, draw
from tests.crash.round import Round
from tests.standin.client import NO_INTERPRETER, interpreter

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("store", "seed"), [("sqlite", 10), ("sqlite", 13), ("snowflake", 24)])
def test_store_keeps_the_promises_after_a_round_of_crashes(
    tmp_path: Path, store: StoreKind, seed: int
) -> None:
    if store == "snowflake" and interpreter() is None:
        pytest.skip(NO_INTERPRETER)
    plan = draw(store, seed, brief=True)
    report = Round(plan, tmp_path).run()
    assert report.claims >= len(plan.work) - len(plan.cancellations)
    command = f"python -m tests.crash --store {store} --seed {seed} --rounds 1 --brief --keep"
    assert not report.faults, "\n".join([*report.faults, f"to repeat: {command}"])
