"""The command ``fleet-q prune``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from fleet_q.core.durations import UNITS
from fleet_q.core.pruning import PruneStats, statuses_to_prune
from fleet_q.services.cli.options import (
    DURATION,
    AppOption,
    JsonOption,
    StoreOption,
    VerboseOption,
    client,
    duration,
)
from fleet_q.services.cli.output import print_json, progress, say
from fleet_q.services.cli.signals import ending_between_transactions

prune_command = typer.Typer()


def _age(text: str) -> float:
    """The age of what is deleted: 30 alone could mean days."""
    if text[-1:] not in UNITS:
        raise typer.BadParameter(f"{text!r} needs a unit: 30d, 12h, 90m or 45s")
    return duration(text)


@prune_command.command()
def prune(
    older_than: Annotated[
        float,
        typer.Option(
            parser=_age, metavar=DURATION, help="time since they ended: 30d, 12h, 90m, 45s"
        ),
    ],
    archive: Annotated[
        Path | None, typer.Option(metavar="FILE.jsonl", help="append the events to this file first")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="prune dead letters too")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="count them, and change nothing")
    ] = False,
    store: StoreOption = None,
    app: AppOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Delete old completed or cancelled steps, and old pods.

    Their events are deleted with them. The command can be interrupted at any time and run again.
    """
    fleet = client(store, app)
    stats = PruneStats()
    counts = fleet.queue()
    final = sum(counts[status] for status in statuses_to_prune(failed=failed))
    try:
        with (
            ending_between_transactions() as check_signals,
            progress("final steps pruned", final) as update,
        ):

            def on_batch() -> None:
                update(stats.steps)
                check_signals()

            fleet.prune(
                older_than,
                failed=failed,
                archive=archive,
                dry_run=dry_run,
                stats=stats,
                on_batch=on_batch,
            )
    except BaseException:
        if stats != PruneStats():
            _show(stats, dry_run, json)
        raise
    _show(stats, dry_run, json)


def _show(stats: PruneStats, dry_run: bool, json: bool) -> None:
    if json:
        print_json({**msgspec.to_builtins(stats), "dry_run": dry_run})
        return
    verb = "would prune" if dry_run else "pruned"
    say(
        f"{verb} {_counted(stats.steps, 'step')} with {_counted(stats.step_events, 'event')},"
        f" {_counted(stats.pods, 'pod')} with {_counted(stats.pod_events, 'event')}"
    )


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
