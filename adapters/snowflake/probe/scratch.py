"""The names and statements of the probe's own tables."""

from __future__ import annotations

import secrets
from typing import Final

from fleet_q.adapters.snowflake.statements import quoted, split
from fleet_q.sql import load

_FOLDER: Final = "snowflake/probe"


class Scratch:
    """Tables for one probe, whose names begin with a random prefix."""

    def __init__(self) -> None:
        self.prefix = f"FLEET_Q_PROBE_{secrets.token_hex(4).upper()}_"
        self.table = quoted(f"{self.prefix}SCRATCH")
        self.other = quoted(f"{self.prefix}OTHER")
        self.hybrid = quoted(f"{self.prefix}HYBRID")

    def text(self, name: str, **names: str) -> str:
        """A statement of the folder ``sql/snowflake/probe``. ``names`` replace its placeholders,
        ``table`` among them; they are quoted."""
        (text,) = split(load(_FOLDER, name))
        own = {"prefix": self.prefix, "table": self.table, "other": self.other}
        for placeholder, replaced in {**own, "hybrid": self.hybrid, **names}.items():
            text = text.replace(f"{{{placeholder}}}", replaced)
        return text

    def is_ours(self, name: str) -> bool:
        """Whether a table of this name belongs to this probe."""
        return name.upper().startswith(self.prefix)
