"""``fleet-q doctor --probe``: says what it will do, asks, runs the probes, prints the results."""

from __future__ import annotations

import os
import sys
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import typer
from rich.text import Text

from fleet_q.adapters.open import dialect
from fleet_q.adapters.snowflake.connection import connection_parameters, named
from fleet_q.adapters.snowflake.times import MEASURED, Times
from fleet_q.core.errors import FleetQError, InvalidInput
from fleet_q.services.cli.output import out, print_json, progress, say, tell
from fleet_q.services.cli.signals import ending_at_once
from fleet_q.services.worker.escapes import one_line

if TYPE_CHECKING:
    from fleet_q.adapters.snowflake.probe.examination import Examination
    from fleet_q.adapters.snowflake.probe.result import ProbeResult

TAG: Final = "fleet-q doctor --probe"

CREDITS: Final = 1 / 3_600
"""Credits a second of an X-Small:
https://docs.snowflake.com/en/user-guide/cost-understanding-compute."""

_STYLES: Final = {"ok": "green", "differs": "yellow", "fail": "bold red", "not tried": "dim"}
_WIDTHS: Final = (9, 20, 21, 27)
"""Of verdict, probe, expected and found: 80 columns with a space between each two."""


def run(url: str, *, yes: bool, is_long: bool, latencies: Path | None, json: bool) -> None:
    """Probe the account and print the results; write the durations found to the file
    ``latencies``. Raises :class:`FleetQError` if a probe failed."""
    if dialect(url) != "snowflake":
        raise InvalidInput("--probe is for snowflake:// stores only")
    if latencies is not None and not os.access(latencies.absolute().parent, os.W_OK):
        raise InvalidInput(f"cannot write latencies to {latencies}: no such folder, or read-only")
    from fleet_q.adapters.snowflake import opening  # noqa: F401 - the connector may be missing
    from fleet_q.adapters.snowflake.probe.examination import Examination

    examination = Examination(connection_parameters(url, tag=TAG), is_long=is_long)
    _ask(examination, named(url), yes=yes)
    with ending_at_once():
        results = _examine(examination)
    times = examination.times
    if json:
        print_json(
            {
                "results": results,
                "times": times,
                "calls": examination.calls,
                "procedures": examination.procedures,
                "leftovers": examination.leftovers,
            }
        )
    else:
        _show_results(results)
        _show_times("server", times, MEASURED)
        _show_times("server, CALL", examination.procedures)
        _show_times("client", examination.calls)
    if latencies is not None:
        _write(latencies, times)
    failed = [result.probe for result in results if result.verdict == "fail"]
    if failed:
        raise FleetQError(f"failed probes: {', '.join(failed)}")


def _ask(examination: Examination, names: Mapping[str, str], *, yes: bool) -> None:
    effort = examination.effort
    where = ".".join(names.get(part, f"the user's {part}") for part in ("database", "schema"))
    tell(f"This tries what FLEET-Q assumes of Snowflake, in {where}.")
    tell("It makes tables and procedures named FLEET_Q_PROBE_..., and drops them again.")
    tell(
        f"About {effort.statements} statements in {effort.seconds / 60:.0f} min of a warehouse:"
        f" {effort.seconds * CREDITS:.2f} credits on an X-Small."
    )
    if yes:
        return
    if not sys.stdin.isatty():
        raise InvalidInput("nobody can be asked, as the input is no terminal: add --yes")
    typer.confirm("Continue?", abort=True, err=True)


def _examine(examination: Examination) -> list[ProbeResult]:
    results = []
    try:
        with examination, progress("probes", len(examination.names)) as update:
            for result in examination.results():
                results.append(result)
                update(len(results))
    finally:
        if examination.leftovers:
            tell(f"fleet-q: could not drop {', '.join(examination.leftovers)}: drop them by hand")
    return sorted(results, key=lambda result: examination.names.index(result.probe))


def _show_results(results: Sequence[ProbeResult]) -> None:
    """Print expected and found side by side."""
    _print_row(("", "probe", "expected", "found"), "bold")
    for result in results:
        cells = (result.verdict, result.probe, result.expected, result.found)
        _print_row([one_line(cell) for cell in cells], _STYLES[result.verdict])


def _show_times(where: str, times: Mapping[str, float], expected: Times | None = None) -> None:
    """Print durations, beside those that were measured elsewhere."""
    if times:
        say("")
        heading = "" if expected is None else "measured elsewhere"
        _print_row(("", f"seconds, {where}", heading, "found"), "bold")
    for name, seconds in times.items():
        elsewhere = "" if expected is None else f"{getattr(expected, name):.2f}"
        _print_row(("", name.replace("_", " "), elsewhere, f"{seconds:.2f}"), "")


def _print_row(cells: Sequence[str], style: str) -> None:
    columns = [textwrap.wrap(cell, width) for cell, width in zip(cells, _WIDTHS, strict=True)]
    for number in range(max(map(len, columns))):
        parts = [column[number] if number < len(column) else "" for column in columns]
        padded = [part.ljust(width) for part, width in zip(parts, _WIDTHS, strict=True)]
        line = Text(padded[0], style=style)
        line.append(" " + " ".join(padded[1:]), style="bold" if style == "bold" else "none")
        line.rstrip()
        out.print(line)


def _write(path: Path, times: Mapping[str, float]) -> None:
    """Write the durations for ``fleet-q simulate --latencies``, the whole file or nothing."""
    if not times:
        raise FleetQError(f"no duration was found, so {path} is not written")
    with tempfile.NamedTemporaryFile(dir=path.absolute().parent, delete=False) as file:
        try:
            file.write(msgspec.json.format(msgspec.json.encode(times), indent=2) + b"\n")
            file.close()
            os.chmod(file.name, 0o644)
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
    tell(f"wrote {path}, for fleet-q simulate --latencies")
