"""From a file of ``sql/snowflake`` to a text with ``?`` in it and the values that belong there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

from fleet_q.core.errors import InvalidInput
from fleet_q.sql import load

DIALECT: Final = "snowflake"
TABLES: Final = ("step_tracker", "pod_health", "step_events", "pod_events", "fleet_q")
_FRAGMENTS: Final = ("evolve", "step_columns", "pod_columns", "event_columns")

_PREFIX: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")  # an identifier without quotes
_COMMENT: Final = re.compile(r"^\s*--.*\n", re.MULTILINE)
_VALUE: Final = re.compile(r"(?<![\w:]):([a-z_]+)")  # not the : of a path, nor :: of a cast


class Statements:
    """The statements for tables whose names begin with ``prefix``.

    Raises :class:`InvalidInput` for a prefix that would have to be quoted.
    """

    def __init__(self, prefix: str = "") -> None:
        if prefix and not _PREFIX.fullmatch(prefix):
            raise InvalidInput(
                f"{prefix!r} is no prefix for table names; use letters, digits and underscores,"
                " a letter first"
            )
        self.names = {table: f'"{(prefix + table).upper()}"' for table in TABLES}
        self._bound: dict[str, tuple[str, list[str]]] = {}

    def text(self, name: str) -> str:
        """The statement with its tables named, and without comments."""
        text = _COMMENT.sub("", load(DIALECT, name) + "\n").strip()
        for fragment in _FRAGMENTS:
            if f"{{{fragment}}}" in text:
                text = text.replace(f"{{{fragment}}}", self._fragments[fragment])
        for table, quoted in self.names.items():
            text = text.replace(f"{{{table}}}", quoted)
        return text

    def bind(self, name: str, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """The statement with a ``?`` for each of its values, and the values in order."""
        if name not in self._bound:
            text = self.text(name)
            self._bound[name] = _VALUE.sub("?", text), _VALUE.findall(text)
        text, order = self._bound[name]
        return text, [values[each] for each in order]

    @cached_property
    def _fragments(self) -> dict[str, str]:
        return {name: _COMMENT.sub("", load(DIALECT, name) + "\n").strip() for name in _FRAGMENTS}
