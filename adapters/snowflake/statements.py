"""From a file of ``sql/snowflake`` to a text with ``?`` in it and the values that belong there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from fleet_q.adapters.statements import statements
from fleet_q.core.errors import InvalidInput
from fleet_q.sql import load
from fleet_q.sql.render import with_question_marks

DIALECT: Final = "snowflake"
TABLES: Final = ("step_tracker", "pod_health", "step_events", "pod_events", "fleet_q")

_PREFIX: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")  # an identifier without quotes
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
_COMMENT: Final = re.compile(r"^\s*--.*\n", re.MULTILINE)
_END: Final = re.compile(r";\s*(?:\n|\Z)")


def quoted(name: str) -> str:
    """A name as it is, for use in SQL."""
    return '"' + name.replace('"', '""') + '"'


def identifier(name: str) -> str:
    """What people wrote for a name, for use in SQL: like Snowflake, in capitals unless they put it
    in quotes or it would need them."""
    if len(name) > 1 and name[0] == name[-1] == '"':
        return quoted(name[1:-1].replace('""', '"'))
    return quoted(name.upper() if _PLAIN.fullmatch(name) else name)


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
        statements(DIALECT)
        self.names = {table: quoted((prefix + table).upper()) for table in TABLES}
        self._bound: dict[str, tuple[str, list[str]]] = {}

    def text(self, name: str, **names: str) -> str:
        """The statement with its tables named, and without comments; ``names`` are what else it
        leaves open, quoted."""
        return self._named(_without_comments(statements(DIALECT)[name]), names)

    def named(self, text: str, **names: str) -> str:
        """A text that is no file of ``sql/snowflake`` itself with its tables named."""
        return self._named(text, names)

    def script(self, name: str, **names: str) -> str:
        """The file with its tables named as people read it: with comments."""
        return self._named(load(DIALECT, name), names)

    def split(self, name: str, **names: str) -> list[str]:
        """The statements of a file that has several."""
        return split(self.text(name, **names))

    def bind(self, name: str, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """The statement with a ``?`` for each of its values, and the values in order."""
        if name not in self._bound:
            self._bound[name] = with_question_marks(self.text(name))
        text, order = self._bound[name]
        return text, [values[each] for each in order]

    def _named(self, text: str, names: Mapping[str, str]) -> str:
        for placeholder, name in {**self.names, **names}.items():
            text = text.replace(f"{{{placeholder}}}", name)
        return text


def split(text: str) -> list[str]:
    """The statements of a text, without comments."""
    return [each for each in _END.split(_without_comments(text)) if each]


def _without_comments(text: str) -> str:
    return _COMMENT.sub("", text + "\n").strip()
