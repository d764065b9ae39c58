"""Conversion between events and rows of the logs."""

from __future__ import annotations

import pytest
from msgspec import Raw

from fleet_q.adapters.columns import ROWS
from fleet_q.adapters.rows import Log, step_event_row, to_step_event
from fleet_q.core import events as ev
from fleet_q.core.errors import UnknownToThisVersion
from fleet_q.core.events import Event, Fact

SUBMITTED = Event("step", 1, 5, None, ev.Submitted(Raw(b'{"n":\n 1}'), -1, 3, 7))


def test_row_has_a_column_for_every_field_of_an_event() -> None:
    row = dict(zip(ROWS.step_event, step_event_row(SUBMITTED), strict=True))
    expected = {
        "step_id": "step",
        "version": 1,
        "type": "submitted",
        "event_ts": 5,
        "pod_id": None,
        "payload": '{"n":\n 1}',
        "priority": -1,
        "max_retries": 3,
        "available_ts": 7,
        "claim_token": None,
        "result": None,
    }
    assert {column: row[column] for column in expected} == expected


def test_event_can_be_read_back_from_its_row() -> None:
    assert to_step_event(step_event_row(SUBMITTED)) == SUBMITTED


def test_field_without_a_value_in_an_older_row_has_its_default() -> None:
    class Noted(Fact, frozen=True, tag="noted"):
        priority: int
        made_up: str = "none"

    log = Log("step", {"noted": Noted}, {**ROWS.step_event, "made_up": "text"})
    row = log.to_row(Event("step", 1, 5, None, Noted(2, "new")))
    assert log.to_event(row).fact == Noted(2, "new")
    assert log.to_event([*row[:-1], None]).fact == Noted(2, "none")


def test_event_type_of_a_newer_version_is_an_error() -> None:
    row = ["step", 4, "teleported", *step_event_row(SUBMITTED)[3:]]
    with pytest.raises(UnknownToThisVersion, match="event 4 of step 'step' is 'teleported'"):
        to_step_event(row)
