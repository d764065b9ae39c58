"""How ``evolve`` applies :data:`~fleet_q.core.lifecycle.EFFECTS`, with all lookups done once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from fleet_q.core.events import JSON_FIELDS, StepEvent
from fleet_q.core.lifecycle import NewValue

Value = Callable[[StepEvent], Any]


class ColumnChanges:
    """What an event makes of a row's columns.

    ``columns`` are an effect's, ``fields`` the names of all columns in the order of a row.
    """

    def __init__(self, columns: Mapping[str, NewValue], fields: Sequence[str]) -> None:
        self._constants: list[tuple[int, object]] = []
        self._values: list[tuple[int, Value]] = []
        self._values_if_told: list[tuple[int, Value]] = []
        self._counts: list[int] = []
        for column, becomes in columns.items():
            place = fields.index(column)
            told: Value = attrgetter(f"fact.{column}")
            match becomes:
                case NewValue.NULL:
                    self._constants.append((place, None))
                case NewValue.ZERO:
                    self._constants.append((place, 0))
                case NewValue.ACTING_POD:
                    self._values.append((place, attrgetter("pod_id")))
                case NewValue.FROM_EVENT:
                    self._values.append((place, _json(told) if column in JSON_FIELDS else told))
                case NewValue.FROM_EVENT_OR_NOW:
                    self._values.append((place, _or_now(told)))
                case NewValue.FROM_EVENT_OR_UNCHANGED:
                    self._values_if_told.append((place, told))
                case NewValue.INCREMENTED:
                    self._counts.append(place)

    def apply(self, row: list[Any], event: StepEvent) -> None:
        """Change ``row`` by ``event``."""
        for place, constant in self._constants:
            row[place] = constant
        for place, value in self._values:
            row[place] = value(event)
        for place in self._counts:
            row[place] += 1
        for place, value in self._values_if_told:
            told = value(event)
            if told is not None:
                row[place] = told


def json_text(raw: msgspec.Raw) -> str:
    """The JSON text that an event holds."""
    return str(raw, "utf-8")


def _json(told: Value) -> Value:
    return lambda event: json_text(told(event))


def _or_now(told: Value) -> Value:
    def value(event: StepEvent) -> Any:
        found = told(event)
        return event.at if found is None else found

    return value
