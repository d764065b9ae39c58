"""The statements of a dialect with their lists of columns rendered, cached for the process."""

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
"""A file that is no statement but a part of others, which include it as ``{evolve}``."""


@cache
def statements(dialect: Dialect) -> Mapping[str, str]:
    """Every statement of a dialect, by its file's name without ``.sql``."""
    texts = load_all(dialect)
    columns = _LISTS[dialect](ROWS)
    evolve = texts.get(_EVOLVE, "")
    return {
        name: render(text.replace(f"{{{_EVOLVE}}}", evolve), columns)
        for name, text in texts.items()
    }
