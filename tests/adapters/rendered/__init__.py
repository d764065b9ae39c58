"""Every statement as the stores run it, for people to read and search: ``sqlite.sql``,
``snowflake.sql`` and ``snowflake_procedures.sql`` beside this file. ``python -m
tests.adapters.rendered`` rewrites them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fleet_q.adapters.snowflake.statements import Statements
from fleet_q.adapters.statements import Dialect, statements

WRITTEN_BY: Final = "-- Written by python -m tests.adapters.rendered; do not change it by hand."

_NO_STATEMENTS: Final = ("grants",)
"""A script."""


def golden_files() -> dict[Path, str]:
    """The files, and what belongs there."""
    procedures = {
        name: procedure.text.replace(procedure.comment, "{comment}")  # differs after any change
        for name, procedure in Statements().procedures.items()
    }
    return {
        _path("sqlite"): _rendered("sqlite", _statements("sqlite")),
        _path("snowflake"): _rendered("snowflake", _statements("snowflake")),
        _path("snowflake_procedures"): _rendered("snowflake/procedures", procedures),
    }


def _path(name: str) -> Path:
    return Path(__file__).with_name(f"{name}.sql")


def _statements(dialect: Dialect) -> dict[str, str]:
    tables = Statements()
    return {
        name: tables.named(text)
        for name, text in statements(dialect).items()
        if name not in _NO_STATEMENTS
    }


def _rendered(folder: str, texts: Mapping[str, str]) -> str:
    parts = [WRITTEN_BY]
    parts += [f"-- {folder}/{name}\n{text};" for name, text in sorted(texts.items())]
    return "\n\n".join(parts) + "\n"
