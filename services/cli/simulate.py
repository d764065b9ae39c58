"""The command ``fleet-q simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from fleet_q.adapters.snowflake.times import MEASURED, read_times
from fleet_q.services.app.settings import from_env
from fleet_q.services.cli.options import JsonOption, VerboseOption

simulate_commands = typer.Typer()


@simulate_commands.command()
def simulate(
    seed: Annotated[int, typer.Option(help="the seed, or the first one", min=0)] = 1,
    seeds: Annotated[int, typer.Option(help="number of seeds, a fleet each", min=1)] = 1,
    pods: Annotated[
        int | None, typer.Option(help="number of pods; drawn if not given", min=1)
    ] = None,
    hours: Annotated[
        float | None,
        typer.Option(help="duration of the faults; drawn if not given", min=0.01, max=8_760),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="number of steps; drawn if not given", min=1)
    ] = None,
    store_model: Annotated[
        Literal["standard", "hybrid", "sqlite"] | None,
        typer.Option(
            help="simulated store: Snowflake's standard or hybrid tables, or a SQLite file"
        ),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="plot the fleet over time to this file: .png, .svg or .pdf")
    ] = None,
    warehouse_clusters: Annotated[
        int, typer.Option(help="clusters of Snowflake's warehouse, of 8 slots each", min=1)
    ] = 1,
    latencies: Annotated[
        Path | None,
        typer.Option(help="JSON of the seconds that Snowflake's statements take on your account"),
    ] = None,
    table: Annotated[
        bool, typer.Option("--table", help="compare fleets of 10 to 1,000 pods on Snowflake")
    ] = False,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Simulate a fleet with faults, and check every promise.

    With --pods, --hours or --table, the fleet uses the settings of the environment, FLEET_Q_*, and
    its speed is measured.
    """
    from fleet_q.services.cli import simulation_runs

    times = MEASURED if latencies is None else read_times(latencies)
    if table:
        simulation_runs.run_table(seed, from_env(), times, json)
    else:
        size = simulation_runs.Size(
            pods=pods,
            hours=hours,
            steps=steps,
            store=store_model,
            settings=from_env(),
            clusters=warehouse_clusters,
            latencies=latencies,
            times=times,
        )
        simulation_runs.run_seeds(range(seed, seed + seeds), size, picture, json)
