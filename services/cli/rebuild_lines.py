"""What ``fleet-q rebuild`` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fleet_q.core.ports import RebuildReport

SHOWN: Final = 20
"""Lines about single rows, at most; ``--json`` has more."""


def rebuild_lines(report: RebuildReport, *, check: bool) -> Iterator[str]:
    """The result in one line, after lines about the rows that differ."""
    lines = [*report.inconsistent, *report.reasons]
    yield from lines[:SHOWN]
    if len(lines) > SHOWN:
        yield f"and {len(lines) - SHOWN} more; --json shows them"
    differing = len(report.differing)
    if not differing:
        verdict = "every row equals the log" if report.equal else "every other row equals the log"
    elif check:
        verdict = f"{differing} rows differ from the log"
    else:
        verdict = f"{differing} rows differed from the log and were corrected"
    yield f"{report.events} events of {report.steps} steps, {report.pods} pods: {verdict}"
