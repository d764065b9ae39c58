"""The statements of a dialect, rendered, and cached for the process."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final, Literal

from fleet_q.adapters.columns import ROWS
from fleet_q.sql import lists, load_all, load_folder
from fleet_q.sql.render import include, render

Dialect = Literal["sqlite", "snowflake"]

_LISTS: Final = {"sqlite": lists.sqlite, "snowflake": lists.snowflake}


@cache
def statements(dialect: Dialect) -> Mapping[str, str]:
    """Every statement of a dialect, by its file's name without ``.sql``."""
    return _rendered(dialect, load_all(dialect))


@cache
def procedures(dialect: Dialect) -> Mapping[str, str]:
    """The statements that create a dialect's stored procedures, by their files' names."""
    return _rendered(dialect, load_folder(dialect, "procedures"))


def _rendered(dialect: Dialect, texts: Mapping[str, str]) -> dict[str, str]:
    columns = _LISTS[dialect](ROWS)
    known = {**load_all(dialect), **load_folder(dialect, "parts")}
    return {name: render(include(text, known), columns) for name, text in texts.items()}
