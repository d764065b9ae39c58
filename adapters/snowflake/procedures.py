"""The stored procedures: their names, arguments and definitions.

A procedure does all of a call's writes in one request, so no client can die within a transaction.
It has its owner's privileges. Its name contains the schema version, so that pods of two versions
can call theirs during an upgrade.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

from fleet_q.adapters.statements import procedures
from fleet_q.sql import schema_version
from fleet_q.sql.render import with_names, without_comments

_DIALECT: Final = "snowflake"
_ARGUMENTS: Final = re.compile(r"PROCEDURE \{procedure\}\(\n(.*?)\n\)", re.DOTALL)
_HARMLESS: Final = {"VARCHAR": "[]", "NUMBER": 0, "BOOLEAN": False}


class Procedure(NamedTuple):
    """A procedure. ``name`` is quoted; ``arguments`` has the types of its arguments in order;
    ``text`` creates it, and ``comment``, which Snowflake stores with it, names its version."""

    name: str
    arguments: Mapping[str, str]
    text: str
    comment: str

    @property
    def signature(self) -> str:
        """The name with the arguments' types, which identifies it."""
        return f"{self.name}({', '.join(map(_base, self.arguments.values()))})"

    @property
    def call(self) -> str:
        """The statement that calls it, with a ``?`` for each argument."""
        return f"CALL {self.name}({', '.join('?' * len(self.arguments))})"

    @property
    def harmless_values(self) -> dict[str, Any]:
        """Arguments with which it changes nothing."""
        return {name: _HARMLESS[_base(type_)] for name, type_ in self.arguments.items()}


def all_procedures(prefix: str, names: Mapping[str, str]) -> dict[str, Procedure]:
    """Every procedure by its file's name. The name of each begins with ``prefix``; ``names`` are
    the quoted names of the tables."""
    return {
        name: _procedure(_name(prefix, name), text, names)
        for name, text in procedures(_DIALECT).items()
    }


def _procedure(name: str, text: str, tables: Mapping[str, str]) -> Procedure:
    text = without_comments(text)
    arguments = _ARGUMENTS.search(text)
    assert arguments is not None, name
    text = with_names(text, {**tables, "procedure": name})
    comment = f"FLEET-Q {sha256(text.encode()).hexdigest()[:16]}"
    pairs = (line.strip().rstrip(",").split(" ", 1) for line in arguments[1].split("\n"))
    return Procedure(name, dict(pairs), with_names(text, {"comment": comment}), comment)


def _name(prefix: str, name: str) -> str:
    return f'"{prefix}fleet_q_{name}_{schema_version(_DIALECT)}"'.upper()


def _base(type_: str) -> str:
    return type_.partition("(")[0]
