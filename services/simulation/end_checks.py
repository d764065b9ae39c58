"""Checks of the log and the tables at the end of a run."""

from __future__ import annotations

from collections.abc import Iterable

from fleet_q.adapters.ids import INTAKE
from fleet_q.core.audit import audit
from fleet_q.core.event_store import EventStore
from fleet_q.services.simulation.recording import RecordingDatabase
from fleet_q.services.simulation.safety_checks import SafetyChecks
from fleet_q.services.simulation.violation import Violation


def check_end(accepted: Iterable[str], records: SafetyChecks, database: RecordingDatabase) -> None:
    """Check that every step that was ``accepted`` exists, that no event is lost, and that the
    tables match the log. Raises :class:`Violation`."""
    for step_id in sorted(accepted):
        if step_id not in records.steps:
            raise Violation("nothing lost", step_id, "was accepted and does not exist")
    for step_id in records.inbox.waiting:
        raise Violation("inbox", step_id, "was not taken in")
    for step_id, record in records.steps.items():
        events = len(database.step_log.get(step_id, ()))
        if record.pruned and events:
            raise Violation("pruning", step_id, "was pruned and has events")
        if not record.pruned and events < record.version:
            raise Violation("nothing lost", step_id, "has lost events")
    store = EventStore(database, INTAKE)
    for fault in audit(store.step_events()).faults:
        raise Violation("log", fault.partition(":")[0], fault)
    report = store.rebuild(check=True)
    for stream in report.differing:
        raise Violation("tables", stream, "has a row that differs from the log")
