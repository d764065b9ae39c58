"""Mutations of alerts: who sends them, and what is told."""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace

from fleet_q.core import alerting, alerts
from fleet_q.core.event_store import EventStore
from fleet_q.core.worker.program import PodProgram
from tests.mutations.guards import Mutation, nothing, replaced


def _unread(write_alert: Any) -> Any:
    """Write an alert whatever its row is now."""

    def mutant(store: Any, before: Any, after: Any) -> Any:
        name = (after or before).alert
        rows = {row.alert: row for row in store.alerts().alerts}
        return write_alert(store, rows.get(name), after)

    return mutant


def _unmoved(claimed: Any) -> Any:
    """Leave the time at which the alert is to be sent."""
    return lambda row, at: replace(claimed(row, at), send_ts=row.send_ts)


def _once(is_to_send: Any) -> Any:
    """Send no alert a second time."""
    return lambda row, at: is_to_send(row, at) and not row.tries


def _only_first(dead_letters: Any) -> Any:
    """Look at dead letters, and find none after the first look."""
    return lambda row, found, rules: dead_letters(row, found, rules) if row is None else None


ALERTS: Final = (
    Mutation(
        "an alert is written only if it is as it was read",
        replaced(EventStore, "write_alert", _unread),
    ),
    Mutation(
        "who sends an alert moves on the time of the next try",
        replaced(alerting, "claimed", _unmoved),
    ),
    Mutation(
        "an alert that the receiver has accepted counts as told",
        replaced(PodProgram, "on_alert_told", nothing),
    ),
    Mutation(
        "an alert that was not accepted is sent again",
        replaced(alerting, "is_to_send", _once),
    ),
    Mutation(
        "dead letters raise an alert",
        replaced(alerts, "_dead_letters", _only_first),
    ),
)
