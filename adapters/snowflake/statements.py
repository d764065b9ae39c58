"""Turns files of ``sql/snowflake`` into statements with quoted table names and bound values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from fleet_q.adapters.snowflake.procedures import all_procedures
from fleet_q.adapters.statements import statements
from fleet_q.core.errors import InvalidInput
from fleet_q.sql import load
from fleet_q.sql.render import with_names, with_question_marks, without_comments

DIALECT: Final = "snowflake"
TABLES: Final = (
    "step_tracker", "pod_health", "step_events", "pod_events", "pod_heartbeats", "step_progress",
    "sync_requests", "queues", "queue_events", "schedules", "schedule_events", "alerts",
    "step_inbox", "fleet_q",
)  # fmt: skip

_PREFIX: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")  # an identifier without quotes
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
_END: Final = re.compile(r";\s*(?:\n|\Z)")


def quoted(name: str) -> str:
    """A name as a quoted identifier, with its case kept."""
    return '"' + name.replace('"', '""') + '"'


def identifier(name: str) -> str:
    """A name that a person wrote, as a quoted identifier. As in Snowflake, it is uppercased unless
    it is in quotes or needs them."""
    if len(name) > 1 and name[0] == name[-1] == '"':
        return quoted(name[1:-1].replace('""', '"'))
    return quoted(name.upper() if _PLAIN.fullmatch(name) else name)


class Statements:
    """The statements for tables and procedures whose names begin with ``prefix``.

    Raises :class:`InvalidInput` for a prefix that would have to be quoted.
    """

    def __init__(self, prefix: str = "") -> None:
        if prefix and not _PREFIX.fullmatch(prefix):
            raise InvalidInput(
                f"{prefix!r} cannot be a prefix of table names; use letters, digits and"
                " underscores, with a letter first"
            )
        statements(DIALECT)
        self.names = {table: quoted((prefix + table).upper()) for table in TABLES}
        self.procedures = all_procedures(prefix, self.names)
        self._bound: dict[str, tuple[str, list[str]]] = {}

    def text(self, name: str, **names: str) -> str:
        """The statement with its tables' names, without comments. ``names`` replace its other
        placeholders; they must be quoted."""
        return self.named(without_comments(statements(DIALECT)[name]), **names)

    def named(self, text: str, **names: str) -> str:
        """A text with its tables' names and its procedures' signatures filled in, and its other
        placeholders replaced."""
        signatures = {f"{name}_procedure": p.signature for name, p in self.procedures.items()}
        return with_names(text, {**self.names, **signatures, **names})

    def script(self, name: str, **names: str) -> str:
        """The file with its tables' names and its comments, to be read by people."""
        return self.named(load(DIALECT, name), **names)

    def split(self, name: str, **names: str) -> list[str]:
        """The statements of a file with several."""
        return split(self.text(name, **names))

    def bind(self, name: str, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """The statement with a ``?`` for each value, and the values in that order."""
        if name not in self._bound:
            self._bound[name] = with_question_marks(self.text(name))
        text, order = self._bound[name]
        return text, [values[value_name] for value_name in order]

    def call(self, name: str, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """The statement that calls a procedure, and its arguments in order."""
        procedure = self.procedures[name]
        return procedure.call, [values[argument] for argument in procedure.arguments]


def split(text: str) -> list[str]:
    """The statements of a text, without comments."""
    return [statement for statement in _END.split(without_comments(text)) if statement]
