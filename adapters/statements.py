"""The statements of a dialect with their lists of columns written out, once for a process."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final, Literal

from fleet_q.adapters.columns import ROWS
from fleet_q.sql import lists, load_all
from fleet_q.sql.render import render

Dialect = Literal["sqlite", "snowflake"]

_LISTS: Final = {"sqlite": lists.sqlite, "snowflake": lists.snowflake}

_EVOLVE: Final = "evolve"
"""The statement that is a part of others, which name it in braces like a list."""


@cache
def statements(dialect: Dialect) -> Mapping[str, str]:
    """Every statement of a dialect by its name."""
    texts = load_all(dialect)
    known = _LISTS[dialect](ROWS)
    evolve = texts.get(_EVOLVE, "")
    return {
        name: render(text.replace(f"{{{_EVOLVE}}}", evolve), known) for name, text in texts.items()
    }
