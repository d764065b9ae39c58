"""Rows of the inbox become steps, on every kind of store."""

from __future__ import annotations

import pytest

from fleet_q.core.settings import PodSettings
from fleet_q.services.simulation import scenario as sc
from fleet_q.services.simulation.fleet import Fleet
from fleet_q.services.simulation.models import KINDS, Kind

ROWS = (
    sc.Work(step_id="first", unique_key="key", delay=200.0),
    sc.Work(step_id="same key", unique_key="key"),
    sc.Work(step_id="refused", unique_key="key", on_conflict="error"),
    sc.Work(step_id="invalid", is_valid=False),
    sc.Work(step_id="last"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_become_steps_and_dead_letters(kind: Kind) -> None:
    fleet = Fleet(
        sc.Scenario(
            seed=1,
            store=kind,
            settings=PodSettings(),
            seconds=900.0,
            pods=(sc.Start("a"), sc.Start("b")),
            requests=(sc.Submission(60.0, ROWS, inbox=True),),
            faults=(),
        )
    )
    fleet.run()
    statuses = {step_id: record.status for step_id, record in fleet.checks.steps.items()}
    assert (statuses.pop("first"), statuses.pop("last")) == ("completed", "completed")
    assert list(statuses.values()) == ["failed", "failed"]
    assert fleet.database.inbox == []
