"""The commands about schedules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from fleet_q.core.events import DEFAULT_QUEUE
from fleet_q.core.schedules import Missed, Overlap
from fleet_q.services.app.labels import parse_labels
from fleet_q.services.app.moments import age_since
from fleet_q.services.app.schedules import WEEK, ScheduleView
from fleet_q.services.cli import completion
from fleet_q.services.cli.options import (
    DURATION,
    AppOption,
    JsonOption,
    StoreOption,
    VerboseOption,
    WatchOption,
    client,
    duration,
)
from fleet_q.services.cli.output import (
    out,
    print_json,
    print_lines,
    print_table,
    print_view,
    table,
    to_seconds,
)
from fleet_q.services.cli.submit import parse_payload
from fleet_q.services.cli.watch import watch as watch_until_ctrl_c

schedule_commands = typer.Typer(
    help="Submit steps at times: list, put, pause, resume, delete and trigger schedules.",
    no_args_is_help=True,
)

ScheduleName = Annotated[
    str,
    typer.Argument(
        metavar="SCHEDULE", help="the schedule's name", autocompletion=completion.schedules
    ),
]


@schedule_commands.command("list")
def list_schedules(
    watch: WatchOption = False, store: StoreOption = None, app: AppOption = None,
    json: JsonOption = False, verbose: VerboseOption = False,
) -> None:  # fmt: skip
    """List the schedules."""
    fleet = client(store, app)
    if watch:
        read = fleet.schedules.all
        watch_until_ctrl_c(fleet, read, lambda views, _: _lines(views), json=json)
    elif json:
        print_json(fleet.schedules.all())
    else:
        print_lines(_lines(fleet.schedules.all()))


def _lines(views: Sequence[ScheduleView]) -> list[Text]:
    now = datetime.now(UTC)
    lines = [
        {
            "schedule": view.schedule,
            "times": _times(view.cron, view.every),
            "tz": view.tz,
            "status": view.status,
            "next": view.next,
            "last": None if view.last is None else age_since(view.last, now),
        }
        for view in views
    ]
    columns = ("schedule", "times", "tz", "status", "next", "last")
    return table(lines, columns, "no schedules", cut=("tz",))


@schedule_commands.command("put")
def put_schedule(
    schedule: ScheduleName,
    payload: Annotated[str, typer.Argument(metavar="PAYLOAD", help="a JSON object")],
    cron: Annotated[
        str | None, typer.Option(metavar="CRON", help='such as "0 2 * * *", every day at two')
    ] = None,
    every: Annotated[
        float | None,
        typer.Option(
            metavar=DURATION, parser=duration, help="instead of --cron, such as 15m or 6h"
        ),
    ] = None,
    tz: Annotated[
        str, typer.Option(metavar="ZONE", help="of --cron, such as Europe/Berlin")
    ] = "UTC",
    overlap: Annotated[
        Overlap,
        typer.Option(help="if the last step has not ended: submit none, one that waits, or more"),
    ] = "skip",
    missed: Annotated[
        Missed, typer.Option(help="which times that passed without a pod fire later")
    ] = "latest",
    window: Annotated[
        float,
        typer.Option(
            metavar=DURATION,
            parser=duration,
            help="how long ago these may be",
            show_default="7d",
        ),
    ] = WEEK,
    queue: Annotated[
        str, typer.Option(metavar="NAME", help="the queue that its steps wait in")
    ] = DEFAULT_QUEUE,
    priority: Annotated[int, typer.Option(metavar="N", help="the highest is claimed first")] = 0,
    max_retries: Annotated[
        int | None, typer.Option(metavar="N", help="retries after the first attempt")
    ] = None,
    key: Annotated[
        str | None, typer.Option(metavar="KEY", help="what they belong to, such as a customer")
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="NAME=TEXT", help="to find them by; may be repeated"),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(metavar=DURATION, parser=duration, help="how long its function may take"),
    ] = None,
    store: StoreOption = None,
    app: AppOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Make or change a schedule, which submits a step at its times."""
    view = client(store, app, create=True).schedules.put(
        schedule,
        parse_payload(payload, "payload"),
        cron=cron,
        every=every,
        tz=tz,
        overlap=overlap,
        missed=missed,
        window=window,
        queue=queue,
        priority=priority,
        max_retries=max_retries,
        key=key,
        labels=parse_labels(labels or []),
        timeout=timeout,
    )
    print_view(view, json)


@schedule_commands.command("pause")
def pause_schedule(
    schedule: ScheduleName, store: StoreOption = None, app: AppOption = None,
    json: JsonOption = False, verbose: VerboseOption = False,
) -> None:  # fmt: skip
    """Let a schedule fire no more until it is resumed."""
    print_view(client(store, app).schedules.pause(schedule), json)


@schedule_commands.command("resume")
def resume_schedule(
    schedule: ScheduleName, store: StoreOption = None, app: AppOption = None,
    json: JsonOption = False, verbose: VerboseOption = False,
) -> None:  # fmt: skip
    """Let a paused schedule fire again, from its next time on."""
    print_view(client(store, app).schedules.resume(schedule), json)


@schedule_commands.command("delete")
def delete_schedule(
    schedule: ScheduleName, store: StoreOption = None, app: AppOption = None,
    json: JsonOption = False, verbose: VerboseOption = False,
) -> None:  # fmt: skip
    """Delete a schedule; its steps stay."""
    print_view(client(store, app).schedules.delete(schedule), json)


@schedule_commands.command("trigger")
def trigger_schedule(
    schedule: ScheduleName, store: StoreOption = None, app: AppOption = None,
    json: JsonOption = False, verbose: VerboseOption = False,
) -> None:  # fmt: skip
    """Fire a schedule now, and print the step's id."""
    step_id = client(store, app).schedules.trigger(schedule)
    if json:
        print_json({"step_id": step_id})
    else:
        out.print(step_id)


@schedule_commands.command("next")
def next_times(
    schedule: ScheduleName,
    count: Annotated[int, typer.Option(metavar="N", help="how many times")] = 5,
    store: StoreOption = None,
    app: AppOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Print the next times of a schedule, in UTC."""
    times = client(store, app).schedules.next(schedule, count)
    if json:
        print_json(times)
    else:
        for time in times:
            out.print(time)


@schedule_commands.command("history")
def schedule_history(
    schedule: ScheduleName, store: StoreOption = None, app: AppOption = None,
    json: JsonOption = False, verbose: VerboseOption = False,
) -> None:  # fmt: skip
    """Show the changes of a schedule."""
    events = client(store, app).schedules.history(schedule)
    if json:
        print_json(events)
    else:
        lines = [
            {
                "at": to_seconds(event.at),
                "by": event.by,
                "type": event.type,
                "times": _times(event.cron, event.every),
                "tz": event.tz,
                "overlap": event.overlap,
                "missed": event.missed,
            }
            for event in events
        ]
        columns = ("at", "by", "type", "times", "tz", "overlap", "missed")
        print_table(lines, columns, "this schedule was never changed", cut=("by", "tz"))


def _times(cron: str | None, every: float | None) -> str:
    return cron if cron is not None else f"every {every:g} s"
