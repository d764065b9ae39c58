"""The command: rounds one after another, until one has a fault."""

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

Store = StrEnum("Store", list(STORES))  # type: ignore[misc]  # a member for every store

err = Console(stderr=True)


def main(
    rounds: Annotated[int, typer.Option(help="number of rounds", min=1)] = 10,
    seed: Annotated[int, typer.Option(help="of the first round; each next round adds 1")] = 1,
    store: Annotated[list[Store] | None, typer.Option(help="only this store")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="keep the files of failed rounds")] = False,
    brief: Annotated[bool, typer.Option("--brief", help="smaller rounds")] = False,
    keep_going: Annotated[bool, typer.Option(help="continue after a failed round")] = False,
) -> None:
    """Disturb real pods and check what their store holds afterwards. Ctrl-C ends the test after
    printing the counts of the rounds that were complete."""
    stores = [name for name in STORES if not store or name in store]
    reports_of: dict[str, list[Report]] = {name: [] for name in stores}
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
            reports_of[name].append(report)
            progress.advance(task)
            if report.faults:
                failed += 1
                _print_faults(name, number, report, brief)
            if report.faults and keep:
                err.print(f"files: {folder}")
            else:
                shutil.rmtree(folder)
            if report.faults and not keep_going:
                break
    _print_counts(reports_of, failed)
    raise typer.Exit(1 if failed else 0)


def _print_faults(name: str, number: int, report: Report, brief: bool) -> None:
    err.print(f"[red]{name}, seed {number}: {len(report.faults)} faults[/red]")
    for fault in report.faults[:10]:
        err.print(f"  {fault}", markup=False, highlight=False)
    size = " --brief" if brief else ""
    err.print(
        f"to repeat: python -m tests.crash --store {name} --seed {number} --rounds 1 --keep{size}"
    )


def _print_counts(reports_of: dict[str, list[Report]], failed: int) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in reports_of:
        table.add_column(name, justify="right")
    rows: dict[str, Callable[[list[Report]], int]] = {
        "rounds": len,
        "pod processes": lambda reports: sum(report.processes for report in reports),
        "claims": lambda reports: sum(report.claims for report in reports),
        "recovered steps": lambda reports: sum(report.recovered for report in reports),
        "files after power cuts": lambda reports: sum(report.images for report in reports),
        "rounds with faults": lambda reports: sum(bool(report.faults) for report in reports),
    }
    messages = {
        name: sum((report.messages for report in reports_of[name]), Counter())
        for name in reports_of
    }
    acts = {
        name: Counter(act for report in reports_of[name] for act in report.acts)
        for name in reports_of
    }
    for what, count in rows.items():
        table.add_row(what, *(str(count(reports)) for reports in reports_of.values()))
    for what in exits.MESSAGES:
        table.add_row(what, *(str(messages[name][what]) for name in reports_of))
    for act in sorted(set().union(*acts.values())):
        table.add_row(act, *(str(acts[name][act]) for name in reports_of))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
