"""``python -m tests.mutations``: removes every guard in turn, and prints which promise breaks."""

from __future__ import annotations

import sys
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import track

from tests.mutations import MUTATIONS, PROMISES
from tests.mutations.guards import SEEDS, Finding, look_for


def main(
    as_json: Annotated[bool, typer.Option("--json", help="print the findings as JSON")] = False,
    save: Annotated[
        bool, typer.Option("--save", help="keep the seeds, which tests then try first")
    ] = False,
) -> None:
    """Remove every guard in turn, and simulate fleets until a promise breaks.

    Prints a line for each guard. Exits with 1 if a removal is not detected.
    """
    err = Console(stderr=True)
    findings: list[Finding] = []
    for mutation in track(MUTATIONS, "guards removed", console=err, disable=not err.is_terminal):
        findings.append(look_for(mutation, promise=PROMISES.get(mutation.guard)))
        if not as_json:
            print(_line(findings[-1]), flush=True)
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(findings)).decode())
    if save:
        seeds = {finding.guard: finding.seed for finding in findings if finding.seed is not None}
        SEEDS.write_bytes(msgspec.json.format(msgspec.json.encode(seeds)) + b"\n")
    missed = [finding.guard for finding in findings if finding.promise is None]
    for guard in missed:
        print(f"the removal of this guard was not detected: {guard}", file=sys.stderr)
    if missed:
        raise typer.Exit(1)


def _line(finding: Finding) -> str:
    if finding.promise is None:
        return f"{finding.guard}: NOT DETECTED"
    return f"{finding.guard}: {finding.promise!r} broke with seed {finding.seed}"


if __name__ == "__main__":
    typer.run(main)
