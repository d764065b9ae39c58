"""How long workflows take that do nothing else: a chain, and a fan-in.

``python -m tests.benchmarks.workflows`` measures it with one pod on SQLite, in this process."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Annotated, NamedTuple

import typer

from fleet_q import FleetQ, Settings, Workflow


class Taken(NamedTuple):
    """The seconds that a workflow of so many ``steps`` took to be submitted, and then to end."""

    steps: int
    submitted: float
    ended: float


def chain(app: FleetQ, steps: int) -> Workflow:
    """A workflow whose steps follow one another."""
    step = app.task("step")(_nothing)
    flow = app.workflow("chain")
    flow.chain(*(step.step() for _ in range(steps)))
    return flow


def fan_in(app: FleetQ, steps: int) -> Workflow:
    """A workflow whose last step waits for all of the others."""
    step = app.task("step")(_nothing)
    flow = app.workflow("fan-in")
    flow.add(*(step.step() for _ in range(steps))).collect(step.step())
    return flow


def measure(folder: Path, describe: Callable[[FleetQ, int], Workflow], steps: int) -> Taken:
    """Submit a workflow that ``describe`` returns, and run it."""
    app = FleetQ(f"sqlite:///{folder / describe.__name__}.db", settings=Settings())
    try:
        flow = describe(app, steps)
        began = perf_counter()
        workflow_id = flow.submit()
        submitted = perf_counter()
        asyncio.run(_run(app, workflow_id))
        ended = perf_counter()
        counts = app.queue()
        assert counts["completed"] == sum(counts.values()) >= steps, counts
    finally:
        app.close()
    return Taken(steps, submitted - began, ended - submitted)


async def _run(app: FleetQ, workflow_id: str) -> None:
    async with app.running():
        await asyncio.to_thread(app.workflows.wait, workflow_id)


def _nothing() -> None:
    """Do nothing."""


def main(
    chained: Annotated[int, typer.Option("--chain", help="steps of the chain")] = 10_000,
    parents: Annotated[int, typer.Option(help="parents of the fan-in")] = 1_000,
) -> None:
    """Measure workflows on SQLite."""
    with tempfile.TemporaryDirectory(prefix="fleet-q-workflows-") as folder:
        for describe, steps in ((chain, chained), (fan_in, parents)):
            taken = measure(Path(folder), describe, steps)
            print(
                f"{describe.__name__:8} of {steps:6,}: submitted in {taken.submitted:6.2f} s,"
                f" ended {taken.ended:6.2f} s later, {taken.ended / steps * 1_000:.2f} ms a step",
                flush=True,
            )


if __name__ == "__main__":
    typer.run(main)
