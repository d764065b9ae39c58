"""The benchmark: FLEET-Q beside its peers and beside bare ``sqlite3``, in one run."""

from __future__ import annotations

import tempfile
from enum import StrEnum
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.benchmarks import machine, plot, report
from tests.benchmarks.cases import CASES
from tests.benchmarks.goals import faults, verdicts
from tests.benchmarks.results import Results
from tests.benchmarks.running import Step, measure, steps
from tests.benchmarks.sizes import FULL, QUICK
from tests.benchmarks.stores import Stores
from tests.benchmarks.systems import SYSTEMS, installed

Case = StrEnum("Case", list(CASES))  # type: ignore[misc]  # a member for every case
INSTALL = "pip install '.[bench]'"
NEEDED = {"psutil": "idle CPU and memory are left out", "matplotlib": "there is no --picture"}

err = Console(stderr=True)


def main(
    quick: Annotated[bool, typer.Option("--quick", help="fewer tasks and runs")] = False,
    only: Annotated[list[Case] | None, typer.Option(help="only this; may be repeated")] = None,
    runs: Annotated[int | None, typer.Option(help="of which the median is shown", min=1)] = None,
    json: Annotated[Path | None, typer.Option(help="write every value here")] = None,
    markdown: Annotated[Path | None, typer.Option(help="write the tables here")] = None,
    image: Annotated[Path | None, typer.Option("--picture", help="draw the rates here")] = None,
) -> None:
    """Measure FLEET-Q, other queues on SQLite, and bare sqlite3, and compare them.

    Fails if FLEET-Q does anything wrong; a goal that is not reached is only shown.
    """
    _warn_of_missing_packages()
    if image is not None and find_spec("matplotlib") is None:
        raise typer.BadParameter(f"--picture needs matplotlib; {INSTALL}")
    sizes = QUICK if quick else FULL
    sizes = sizes._replace(runs=runs or sizes.runs)
    where = machine.describe(sizes.runs)
    with tempfile.TemporaryDirectory(prefix="fleet-q-benchmark-") as root:
        stores = Stores(Path(root), sizes.fill_limit)
        todo = [
            measurement
            for name in (only or list(Case))
            for measurement in CASES[name](installed(), sizes, stores)
        ]
        results = _measure(steps(todo, sizes.runs))
    judged = verdicts(results)
    out = Console()
    if not out.is_terminal:
        out.width = report.WIDTH
    report.print_report(results, judged, where, out)
    if json is not None:
        json.write_bytes(report.json(results, judged, where))
    if markdown is not None:
        markdown.write_text(report.markdown(results, judged, where))
    if image is not None:
        plot.draw(results, image)
    if found := faults(results):
        for fault in found:
            _warn(f"fleet-q: {fault}")
        raise typer.Exit(1)


def _warn_of_missing_packages() -> None:
    for system in SYSTEMS:
        if not system.installed():
            _warn(f"{system.name} is not installed and is left out; {INSTALL}")
    for module, consequence in NEEDED.items():
        if find_spec(module) is None:
            _warn(f"{module} is not installed, so {consequence}; {INSTALL}")


def _warn(line: str) -> None:
    err.print(line, markup=False, highlight=False, soft_wrap=True)


def _measure(todo: list[Step]) -> Results:
    columns = (
        BarColumn(30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=err, transient=True) as progress:
        bar = progress.add_task("", total=len(todo))
        done = count()

        def before_each(step: Step) -> None:
            run, measurement, system = step
            what = f"run {run + 1}: {system.name}, {measurement.figures[0].title}"
            progress.update(bar, completed=next(done), description=what)

        return measure(todo, before_each)


if __name__ == "__main__":
    typer.run(main)
