"""The command ``fleet-q simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from fleet_q.services.app.settings import from_env
from fleet_q.services.cli.options import JsonOption, VerboseOption

simulate_commands = typer.Typer()


@simulate_commands.command()
def simulate(
    seed: Annotated[int, typer.Option(help="the seed, or the first of them", min=0)] = 1,
    seeds: Annotated[int, typer.Option(help="so many fleets, a seed each", min=1)] = 1,
    pods: Annotated[int | None, typer.Option(help="drawn if not given", min=1)] = None,
    hours: Annotated[float | None, typer.Option(help="of trouble", min=0.01, max=8_760)] = None,
    steps: Annotated[int | None, typer.Option(help="that are submitted", min=1)] = None,
    store_model: Annotated[
        Literal["standard", "hybrid", "sqlite"] | None,
        typer.Option(help="those of the store: a kind of Snowflake's tables, or a SQLite file"),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="draw the fleet over time into this file, .png or .svg")
    ] = None,
    table: Annotated[
        bool, typer.Option("--table", help="10, 100 and 1000 pods on Snowflake's tables, compared")
    ] = False,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Put a fleet through bad days on a virtual clock, and check every promise on the way.

    With --pods or --hours, and in the table, the fleet lives by the settings of the environment,
    FLEET_Q_*, and how fast it is gets measured.
    """
    from fleet_q.services.cli import simulation_runs

    if table:
        simulation_runs.run_table(seed, hours or 1.0, from_env(), json)
    else:
        size = simulation_runs.Size(
            pods=pods, hours=hours, steps=steps, store=store_model, settings=from_env()
        )
        simulation_runs.run_seeds(range(seed, seed + seeds), size, picture, json)
