"""The names and statements of the probe's own tables."""

from __future__ import annotations

import secrets
from typing import Final

from fleet_q.adapters.snowflake.statements import quoted
from fleet_q.sql import load
from fleet_q.sql.render import with_names, without_comments

_FOLDER: Final = "snowflake/probe"


def new_prefix() -> str:
    """A random prefix, with which all names of one probe begin."""
    return f"FLEET_Q_PROBE_{secrets.token_hex(4).upper()}_"


class Scratch:
    """Tables for experiments, for the probes of one lane."""

    def __init__(self, prefix: str, lane: str) -> None:
        self.prefix = prefix
        names = {name: quoted(f"{prefix}{lane}_{name}".upper()) for name in _NAMES}
        self.table, self.other, self.hybrid, self.procedure = names.values()
        self._names = {"prefix": prefix, **names}

    def text(self, name: str, **names: str) -> str:
        """A statement of the folder ``sql/snowflake/probe``. ``names`` replace its placeholders,
        ``table`` among them; they are quoted."""
        return with_names(without_comments(load(_FOLDER, name)), {**self._names, **names})


_NAMES: Final = ("table", "other", "hybrid", "procedure")
