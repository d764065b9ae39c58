"""Runs simulations for ``fleet-q simulate``, and prints their results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from fleet_q.adapters.snowflake.times import MEASURED, Times
from fleet_q.core.errors import FleetQError
from fleet_q.core.settings import PodSettings
from fleet_q.services.cli.output import err, out, print_json, print_record
from fleet_q.services.simulation.fleet import Outcome, simulate
from fleet_q.services.simulation.generate import burst, draw
from fleet_q.services.simulation.models import Kind
from fleet_q.services.simulation.plot import check_can_plot, plot_outcome
from fleet_q.services.simulation.report import Figures, figures, history, markdown
from fleet_q.services.simulation.scenario import Scenario
from fleet_q.services.simulation.shrink import MOST_RUNS, Shrinker

BURSTS: Final[tuple[Kind, ...]] = ("standard", "hybrid")


class Size(msgspec.Struct, frozen=True):
    """The options of the command; ``None`` is drawn from the seed. A fleet of given ``pods`` or
    ``hours`` uses ``settings``. ``latencies`` is the file of ``times``."""

    pods: int | None = None
    hours: float | None = None
    steps: int | None = None
    store: Kind | None = None
    settings: PodSettings | None = None
    clusters: int = 1
    latencies: Path | None = None
    times: Times = MEASURED

    def scenario(self, seed: int) -> Scenario:
        """Return the scenario of a seed."""
        return draw(
            seed,
            pods=self.pods,
            hours=self.hours,
            steps=self.steps,
            store=self.store,
            settings=self.settings,
            times=self.times,
            clusters=self.clusters,
        )

    def command(self, seed: int) -> str:
        """Return the command that repeats the simulation of a seed."""
        options: dict[str, object] = {
            "pods": self.pods,
            "hours": self.hours,
            "steps": self.steps,
            "store-model": self.store,
            "warehouse-clusters": None if self.clusters == 1 else self.clusters,
            "latencies": self.latencies,
        }
        given = "".join(
            f" --{name} {value}" for name, value in options.items() if value is not None
        )
        return f"fleet-q simulate --seed {seed}{given}"


def run_seeds(seeds: range, size: Size, picture: Path | None, json: bool) -> None:
    """Simulate a fleet for each seed, and print the figures. Raises :class:`FleetQError` at the
    first broken promise, after shrinking it and printing its history."""
    if picture is not None:
        check_can_plot(picture)
    totals: list[Figures] = []
    with _progress("seeds", len(seeds)) as (progress, task):
        for seed in seeds:
            outcome = _simulate(size.scenario(seed), progress)
            if outcome.violation is not None:
                smallest = _shrink(outcome, progress)
                break
            totals.append(figures(outcome))
            progress.advance(task)
        else:
            smallest = None
    if picture is not None:
        plot_outcome(outcome, picture)
    if smallest is not None:
        _print_broken(smallest, size.command(seed), json)
        raise FleetQError(f"seed {seed}: {outcome.violation}; repeat it with: {size.command(seed)}")
    _print_figures(totals, json)


FLEETS: Final = (
    Size(pods=10, store="standard"),
    Size(pods=50, store="standard"),
    Size(pods=100, store="standard"),
    Size(pods=100, store="hybrid"),
    Size(pods=1_000, store="standard", clusters=4),
    Size(pods=20, steps=10_000, store="standard"),
    Size(pods=20, steps=10_000, store="hybrid"),
)
"""The fleets of the table; an hour each, ten steps a pod unless it says how many."""


def run_table(seed: int, settings: PodSettings, times: Times, json: bool) -> None:
    """Simulate fleets of several sizes on Snowflake, and bursts of steps, and print their figures
    as a Markdown table."""
    fleets = [
        replace(size, hours=1.0, settings=settings, times=times).scenario(seed) for size in FLEETS
    ]
    fleets += [burst(seed, store=kind, settings=settings, times=times) for kind in BURSTS]
    rows: list[Figures] = []
    with _progress("fleets", len(fleets)) as (progress, task):
        for scenario in fleets:
            rows.append(figures(_simulate(scenario, progress)))
            progress.advance(task)
    if json:
        print_json(rows)
    else:
        out.print(markdown(rows), markup=False, highlight=False)


def _simulate(scenario: Scenario, progress: Progress) -> Outcome:
    """Run a scenario; a fleet that is measured gets a progress bar of its own."""
    if not scenario.is_measured:
        return simulate(scenario)
    name = f"{len(scenario.pods)} pods on {scenario.store}, minutes"
    task = progress.add_task(name, total=round(scenario.seconds / 60))
    try:
        return simulate(
            scenario,
            on_progress=lambda seconds: progress.update(task, completed=int(seconds / 60)),
        )
    finally:
        progress.remove_task(task)


def _shrink(outcome: Outcome, progress: Progress) -> Outcome:
    task = progress.add_task("shrinking the history", total=MOST_RUNS)
    return Shrinker(outcome, lambda run: progress.update(task, completed=run)).shrink()


@contextmanager
def _progress(what: str, total: int) -> Iterator[tuple[Progress, TaskID]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeElapsedColumn(), console=err, transient=True, disable=not err.is_terminal
    ) as progress:
        yield progress, progress.add_task(what, total=total)


def _print_figures(rows: list[Figures], json: bool) -> None:
    if json:
        print_json(rows[0] if len(rows) == 1 else rows)
    elif len(rows) == 1:
        print_record(msgspec.to_builtins(rows[0]))
    else:
        sums: dict[str, Any] = {
            name: sum(getattr(row, name) for row in rows)
            for name in ("pods", "faults", "submitted", "completed", "failed", "cancelled",
                         "recovered_from_dead", "recovered_from_living", "statements")
        }  # fmt: skip
        hours = round(sum(row.hours for row in rows))
        print_record({"fleets": len(rows), "hours": hours, **sums, "promises broken": 0})


def _print_broken(smallest: Outcome, command: str, json: bool) -> None:
    violation = smallest.violation
    assert violation is not None
    lines = history(smallest)
    if json:
        print_json({"violation": str(violation), "replay": command, "history": lines})
        return
    out.print(f"[red]broken: {escape(str(violation))}")
    scenario = smallest.scenario
    out.print(f"the shortest history found, on {scenario.store} tables:")
    for line in lines:
        out.print(escape(line), highlight=False)
