"""The commands about queues: counts of their steps, and their limits."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer
from msgspec import UNSET
from rich.text import Text

from fleet_q.core.errors import InvalidInput
from fleet_q.core.queues import MOST_RUNNING
from fleet_q.services.app.queue_stats import QueueStatsView
from fleet_q.services.cli import completion
from fleet_q.services.cli.options import (
    AppOption,
    JsonOption,
    StoreOption,
    VerboseOption,
    WatchOption,
    client,
)
from fleet_q.services.cli.output import (
    out,
    print_json,
    print_table,
    print_view,
    terminal_width,
    to_seconds,
)
from fleet_q.services.cli.queue_table import report
from fleet_q.services.cli.watch import watch as watch_until_ctrl_c

queue_commands = typer.Typer(
    help="Count the steps by status, queue and type; show and set limits.",
    invoke_without_command=True,
)

QueueName = Annotated[
    str,
    typer.Argument(metavar="QUEUE", help="the queue's name", autocompletion=completion.queues),
]


@queue_commands.callback()
def counts(
    context: typer.Context,
    watch: WatchOption = False,
    store: StoreOption = None,
    app: AppOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Count the steps by status, queue and type; show and set limits."""
    if context.invoked_subcommand is not None:
        if store is not None or app is not None or json or watch:
            name = context.invoked_subcommand
            raise InvalidInput(f"options follow the command: fleet-q queue {name} --store ...")
        return
    fleet = client(store, app)
    if watch:
        watch_until_ctrl_c(fleet, fleet.queue_stats, queue_lines, json=json)
        return
    stats = fleet.queue_stats()
    if json:
        print_json(stats)
        return
    for line in queue_lines(stats, 0):
        out.print(line)


def queue_lines(view: QueueStatsView, elapsed: float) -> list[Text]:
    """The lines of a view ``elapsed`` seconds after it was read: what waits has waited for longer
    since."""
    queues = [
        row if row.oldest_age is None else replace(row, oldest_age=row.oldest_age + elapsed)
        for row in view.queues
    ]
    return report(replace(view, queues=queues), terminal_width())


@queue_commands.command("list")
def list_queues(
    store: StoreOption = None, app: AppOption = None, json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:  # fmt: skip
    """List the queues that have, or had, limits."""
    queues = client(store, app).queues.all()
    if json:
        print_json(queues)
    else:
        columns = ("queue", "max_running", "max_running_per_key", "rate", "paused")
        print_table(queues, columns, "no queue has limits")


@queue_commands.command("set")
def set_queue(
    queue: QueueName,
    max_running: Annotated[
        str | None,
        typer.Option(metavar="COUNT", help="steps claimed at once in the fleet; none: no limit"),
    ] = None,
    max_running_per_key: Annotated[
        str | None,
        typer.Option(metavar="COUNT", help="the same, of steps with one key; none: no limit"),
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(metavar="RATE", help="claims over time, like 100/min; none: no limit"),
    ] = None,
    store: StoreOption = None,
    app: AppOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Set limits of a queue; those that are not given stay as they are."""
    if max_running is None and max_running_per_key is None and rate is None:
        raise InvalidInput("name a limit to set: --max-running, --max-running-per-key or --rate")
    view = client(store, app).queues.set(
        queue,
        max_running=_count(max_running, "--max-running"),
        max_running_per_key=_count(max_running_per_key, "--max-running-per-key"),
        rate=UNSET if rate is None else None if rate == "none" else rate,
    )
    print_view(view, json)


@queue_commands.command("pause")
def pause_queue(
    queue: QueueName, store: StoreOption = None, app: AppOption = None,
    json: JsonOption = False, verbose: VerboseOption = False,
) -> None:  # fmt: skip
    """Let no step of a queue be claimed; those that run go on."""
    print_view(client(store, app).queues.pause(queue), json)


@queue_commands.command("resume")
def resume_queue(
    queue: QueueName, store: StoreOption = None, app: AppOption = None,
    json: JsonOption = False, verbose: VerboseOption = False,
) -> None:  # fmt: skip
    """Let steps of a queue be claimed again, within its limits."""
    print_view(client(store, app).queues.resume(queue), json)


@queue_commands.command("history")
def queue_history(
    queue: QueueName, store: StoreOption = None, app: AppOption = None,
    json: JsonOption = False, verbose: VerboseOption = False,
) -> None:  # fmt: skip
    """Show the changes of a queue's limits."""
    events = client(store, app).queues.history(queue)
    if json:
        print_json(events)
    else:
        lines = [
            {
                "at": to_seconds(event.at),
                "by": event.by,
                "type": event.type,
                "running": event.max_running,
                "per key": event.max_running_per_key,
                "rate": event.rate,
                "paused": event.paused,
            }
            for event in events
        ]
        columns = ("at", "by", "type", "running", "per key", "rate", "paused")
        print_table(lines, columns, "the limits of this queue were never changed", cut=("by",))


def _count(value: str | None, option: str) -> Any:
    if value is None:
        return UNSET
    if value == "none":
        return None
    if not value.isascii() or not value.isdigit():
        raise InvalidInput(
            f"{option} must be a whole number from 1 to {MOST_RUNNING}, or none, not {value!r}"
        )
    return int(value)
