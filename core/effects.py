"""Apply :data:`~fleet_q.core.lifecycle.EFFECTS` to rows, with all lookups done at import time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from fleet_q.core.events import JSON_FIELDS, StepEvent
from fleet_q.core.lifecycle import NewValue

Value = Callable[[StepEvent], Any]


class ColumnChanges:
    """The compiled column changes of one event type.

    ``columns`` are the columns of its :class:`~fleet_q.core.lifecycle.Effect`; ``fields`` are the
    names of all columns in the order of a row.
    """

    def __init__(self, columns: Mapping[str, NewValue], fields: Sequence[str]) -> None:
        self._constants: list[tuple[int, object]] = []
        self._values: list[tuple[int, Value]] = []
        self._values_unless_none: list[tuple[int, Value]] = []
        self._increments: list[int] = []
        for column, new_value in columns.items():
            position = fields.index(column)
            from_event: Value = attrgetter(f"fact.{column}")
            match new_value:
                case NewValue.NULL:
                    self._constants.append((position, None))
                case NewValue.ZERO:
                    self._constants.append((position, 0))
                case NewValue.ACTING_POD:
                    self._values.append((position, attrgetter("pod_id")))
                case NewValue.FROM_EVENT:
                    self._values.append(
                        (position, _json(from_event) if column in JSON_FIELDS else from_event)
                    )
                case NewValue.FROM_EVENT_OR_NOW:
                    self._values.append((position, _or_now(from_event)))
                case NewValue.FROM_EVENT_OR_UNCHANGED:
                    self._values_unless_none.append((position, from_event))
                case NewValue.INCREMENTED:
                    self._increments.append(position)

    def apply(self, row: list[Any], event: StepEvent) -> None:
        """Change ``row`` as ``event`` requires."""
        for position, constant in self._constants:
            row[position] = constant
        for position, value in self._values:
            row[position] = value(event)
        for position in self._increments:
            row[position] += 1
        for position, value in self._values_unless_none:
            new = value(event)
            if new is not None:
                row[position] = new


def json_text(raw: msgspec.Raw) -> str:
    """The JSON text that an event holds."""
    return str(raw, "utf-8")


def json_text_or_none(raw: msgspec.Raw | None) -> str | None:
    """The JSON text that an event may hold."""
    return None if raw is None else json_text(raw)


def _json(from_event: Value) -> Value:
    return lambda event: json_text_or_none(from_event(event))


def _or_now(from_event: Value) -> Value:
    def value_or_now(event: StepEvent) -> Any:
        value = from_event(event)
        return event.at if value is None else value

    return value_or_now
