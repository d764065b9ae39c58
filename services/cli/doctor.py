"""Runs the checks of ``fleet-q doctor`` and prints their findings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from rich.text import Text

from fleet_q.adapters.diagnosis import Finding
from fleet_q.adapters.open import dialect, sqlite_path
from fleet_q.adapters.snowflake.connection import named
from fleet_q.adapters.sqlite import doctor as sqlite_doctor
from fleet_q.services.cli.output import out, say
from fleet_q.services.worker.escapes import one_line

_STYLES: Final = {"ok": "green", "warn": "yellow", "fail": "bold red", "skipped": "dim"}
_WIDTH: Final = 13
"""The length of the longest check's name, and a space."""


def examine(url: str, table_prefix: str) -> Iterator[Finding]:
    """Check the store and yield the findings one by one. Raises :class:`InvalidInput` for
    ``memory://``."""
    if dialect(url) == "sqlite":
        yield from sqlite_doctor.examination(sqlite_path(url))
        return
    from fleet_q.adapters.snowflake.opening import open_snowflake  # the connector may be missing

    store = open_snowflake(url, tag="fleet-q doctor", table_prefix=table_prefix)
    from fleet_q.adapters.snowflake.doctor import examination

    try:
        yield from examination(store.session, named(url))
    finally:
        store.close()


def show(findings: Iterable[Finding]) -> list[Finding]:
    """Print each finding as it arrives, and its fix on the line below."""
    shown = []
    for finding in findings:
        line = Text(f"{finding.verdict:8}", style=_STYLES[finding.verdict])
        line.append(f"{finding.check:{_WIDTH}}", style="bold")
        line.append(one_line(finding.message), style="none")
        out.print(line)
        if finding.fix is not None:
            say(" " * 8 + f"{'fix':{_WIDTH}}{finding.fix}", style="cyan")
        shown.append(finding)
    return shown
