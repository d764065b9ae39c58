"""The command ``fleet-q audit``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Annotated, Any, Final

import typer
from rich.text import Text

from fleet_q.core.errors import InvalidInput
from fleet_q.services.app.app import FleetQ
from fleet_q.services.app.audit import LONGEST_AUDIT, AuditEntry
from fleet_q.services.app.moments import parse_moment
from fleet_q.services.cli.audit_watch import follow
from fleet_q.services.cli.options import (
    AppOption,
    JsonOption,
    StoreOption,
    VerboseOption,
    WatchOption,
    client,
)
from fleet_q.services.cli.output import out, print_json, print_json_line, say
from fleet_q.services.cli.signals import ending_at_once
from fleet_q.services.worker.escapes import one_line

audit_command = typer.Typer()

LATEST: Final = 100
"""How many events are shown if neither their number nor a time is given."""


@audit_command.command()
def audit(
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="since: 2h ago, or 2026-11-28T14:00Z")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="and before then")] = None,
    by: Annotated[
        str | None, typer.Option(metavar="WHO", help="done by: key:NAME, USER@HOST, or a pod")
    ] = None,
    step: Annotated[str | None, typer.Option(metavar="STEP_ID", help="of this step")] = None,
    queue: Annotated[
        str | None, typer.Option(metavar="NAME", help="of this queue and its steps")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(metavar="COUNT", help=f"at most so many; the latest {LATEST} else", min=1),
    ] = None,
    watch: WatchOption = False,
    index: Annotated[
        bool, typer.Option("--index", help="first make an index of the log by time")
    ] = False,
    store: StoreOption = None,
    app: AppOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Show what happened, and who did it, in order of time.

    The latest events are shown or, with --since, all from then on. In a large SQLite file this
    takes long without an index, which --index and the dashboard make; it costs time at each change.
    """
    conditions: dict[str, Any] = {"by": by, "step_id": step, "queue": queue}
    for name, text in (("since", since), ("until", until)):
        conditions[name] = None if text is None else parse_moment(text)
    fleet = client(store, app)
    if watch and until is not None:
        raise InvalidInput("--watch goes on until Ctrl-C; leave out --until")
    with ending_at_once():
        if index:
            fleet.store.index_log()
        entries = _entries(fleet, limit, conditions)
        if watch:
            show = print_json_line if json else _print
            shown = [_shown(entry, show) for entry in entries]
            follow(fleet, conditions, oldest_first, shown, lambda entry: _shown(entry, show))
        elif json:
            print_json(list(entries))
        else:
            shown = [_shown(entry, _print) for entry in entries]
            if not shown:
                say("nothing happened that meets these conditions")


def _shown(entry: AuditEntry, show: Callable[[AuditEntry], object]) -> AuditEntry:
    show(entry)
    sys.stdout.flush()
    return entry


def oldest_first(fleet: FleetQ, conditions: dict[str, Any]) -> Iterator[AuditEntry]:
    """Return all entries that meet the conditions, in order of time."""
    return _pages(fleet, conditions, None, newest_first=False)


def _entries(fleet: FleetQ, limit: int | None, conditions: dict[str, Any]) -> Iterator[AuditEntry]:
    """The entries in order of time: all since a time, or the latest."""
    if conditions["since"] is not None:
        return islice(_pages(fleet, conditions, limit, newest_first=False), limit)
    limit = LATEST if limit is None else limit
    latest = list(islice(_pages(fleet, conditions, limit, newest_first=True), limit))
    return reversed(latest)


def _pages(
    fleet: FleetQ, conditions: dict[str, Any], limit: int | None, *, newest_first: bool
) -> Iterator[AuditEntry]:
    size, cursor = min(limit or LONGEST_AUDIT, LONGEST_AUDIT), None
    while True:
        view = fleet.audit(**conditions, limit=size, cursor=cursor, newest_first=newest_first)
        yield from view.entries
        cursor = view.cursor
        if cursor is None:
            return


def _print(entry: AuditEntry) -> None:
    """Print an entry on two lines, which fit 80 columns unless a name is long."""
    who = "" if entry.by is None else f"by {entry.by}"
    out.print(Text(one_line(f"{entry.at}  {entry.type:<13}  {who}".rstrip()), style="bold"))
    parts = [f"{entry.of} {entry.name}"]
    if entry.of == "step" and entry.queue is not None:
        parts.append(f"queue {entry.queue}")
    if entry.task_type is not None:
        parts.append(f"task {entry.task_type}")
    if entry.error is not None:
        parts.append(entry.error)
    out.print(Text(one_line(f"     {'  '.join(parts)}")))
