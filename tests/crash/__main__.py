"""Many rounds, one after the other, until one shows a fault."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.crash import exits
from tests.crash.plan import STORES, draw
from tests.crash.round import Report, Round

Store = StrEnum("Store", list(STORES))  # type: ignore[misc]  # one for every store there is

err = Console(stderr=True)


def main(
    rounds: Annotated[int, typer.Option(help="how many", min=1)] = 10,
    seed: Annotated[int, typer.Option(help="of the first; the others follow it")] = 1,
    store: Annotated[list[Store] | None, typer.Option(help="only this")] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="keep the files of a round that failed")
    ] = False,
    brief: Annotated[bool, typer.Option("--brief", help="smaller rounds")] = False,
    keep_going: Annotated[bool, typer.Option(help="go on after a round that failed")] = False,
) -> None:
    """Kill, stop, cut off and starve real pods, and read what is left on disk. Ctrl-C ends it
    with the counts of the rounds that were whole."""
    stores = [each for each in STORES if not store or each in store]
    seen: dict[str, list[Report]] = {name: [] for name in stores}
    failed = 0
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err) as progress:
        task = progress.add_task("rounds", total=rounds)
        for number in range(seed, seed + rounds):
            name = stores[number % len(stores)]
            progress.update(task, description=f"{name} {number}")
            folder = Path(tempfile.mkdtemp(prefix="fleet-q-crash-"))
            try:
                report = Round(draw(name, number, brief=brief), folder).run()
            except KeyboardInterrupt:
                shutil.rmtree(folder)
                break
            seen[name].append(report)
            progress.advance(task)
            if report.faults:
                failed += 1
                _print_faults(name, number, report, brief)
            if report.faults and keep:
                err.print(f"its files are in {folder}")
            else:
                shutil.rmtree(folder)
            if report.faults and not keep_going:
                break
    _print_counts(seen, failed)
    raise typer.Exit(1 if failed else 0)


def _print_faults(name: str, number: int, report: Report, brief: bool) -> None:
    err.print(f"[red]{name}, seed {number}: {len(report.faults)} faults[/red]")
    for fault in report.faults[:10]:
        err.print(f"  {fault}", markup=False, highlight=False)
    size = " --brief" if brief else ""
    err.print(
        f"again: python -m tests.crash --store {name} --seed {number} --rounds 1 --keep{size}"
    )


def _print_counts(seen: dict[str, list[Report]], failed: int) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in seen:
        table.add_column(name, justify="right")
    rows: dict[str, Callable[[list[Report]], int]] = {
        "rounds": len,
        "pod processes": lambda reports: sum(each.processes for each in reports),
        "claims": lambda reports: sum(each.claims for each in reports),
        "recovered steps": lambda reports: sum(each.recovered for each in reports),
        "pictures of power cuts": lambda reports: sum(each.pictures for each in reports),
        "rounds with faults": lambda reports: sum(bool(each.faults) for each in reports),
    }
    strikes = {name: sum((each.strikes for each in seen[name]), Counter()) for name in seen}
    acts = {name: Counter(act for each in seen[name] for act in each.acts) for name in seen}
    for what, count in rows.items():
        table.add_row(what, *(str(count(reports)) for reports in seen.values()))
    for what in exits.TELLING:
        table.add_row(what, *(str(strikes[name][what]) for name in seen))
    for act in sorted(set().union(*acts.values())):
        table.add_row(act, *(str(acts[name][act]) for name in seen))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
