"""Every statement as the stores run it, for people to read and search: ``sqlite.sql`` and
``snowflake.sql`` beside this file. ``python -m tests.adapters.rendered`` rewrites them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fleet_q.adapters.snowflake.statements import Statements
from fleet_q.adapters.statements import Dialect, statements

DIALECTS: Final[tuple[Dialect, ...]] = ("sqlite", "snowflake")
WRITTEN_BY: Final = "-- Written by python -m tests.adapters.rendered; do not change it by hand."

_NO_STATEMENTS: Final = ("grants", "evolve")
"""A script, and the part that other statements have in them."""


def golden_file(dialect: Dialect) -> Path:
    """The file that has a dialect's statements."""
    return Path(__file__).with_name(f"{dialect}.sql")


def rendered(dialect: Dialect) -> str:
    """What belongs there."""
    tables = Statements()
    parts = [WRITTEN_BY]
    for name, text in sorted(statements(dialect).items()):
        if name not in _NO_STATEMENTS:
            parts.append(f"-- {dialect}/{name}\n{tables.named(text)};")
    return "\n\n".join(parts) + "\n"
