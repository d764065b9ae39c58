"""The commands about the pods of the fleet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import typer
from rich.text import Text

from fleet_q.services.app.views import PodView
from fleet_q.services.cli.options import (
    AppOption,
    JsonOption,
    StoreOption,
    VerboseOption,
    WatchOption,
    client,
)
from fleet_q.services.cli.output import print_json, print_lines, print_view, record, table
from fleet_q.services.cli.watch import watch as watch_until_ctrl_c

pods_commands = typer.Typer()


@pods_commands.command()
def pods(
    all_: Annotated[
        bool, typer.Option("--all", help="also those that have left, are dead or are silent")
    ] = False,
    watch: WatchOption = False,
    store: StoreOption = None,
    app: AppOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """List the live pods, and what they told when they joined."""
    fleet = client(store, app)
    read = partial(fleet.pods, only_live=not all_)
    if watch:
        watch_until_ctrl_c(fleet, read, lambda views, _: _lines(views, all_), json=json)
    elif json:
        print_json(read())
    else:
        print_lines(_lines(read(), all_))


def _lines(views: Sequence[PodView], all_: bool) -> list[Text]:
    host = () if all(view.names_host for view in views) else ("host",)
    lines = [_PodLine.of(view) for view in views]
    if all_:
        cut = ("version", *host)
        columns = ("pod_id", "state", "last_heartbeat_ts", "version", *host)
        return table(lines, columns, "no pod has started yet", cut=cut)
    columns = ("pod_id", "state", "slots", "version", *host, "queues", "task_types")
    empty = "no pod is alive; others: fleet-q pods --all"
    return table(lines, columns, empty, cut=("version", *host, "queues", "task_types"))


@pods_commands.command()
def leader(
    watch: WatchOption = False, store: StoreOption = None, app: AppOption = None,
    json: JsonOption = False, verbose: VerboseOption = False,
) -> None:  # fmt: skip
    """Show the leader, the oldest live pod, and the live pods."""
    fleet = client(store, app)
    if watch:
        watch_until_ctrl_c(fleet, fleet.leader, lambda view, _: record(view), json=json)
    else:
        print_view(fleet.leader(), json)


@dataclass(frozen=True)
class _PodLine:
    """A pod as people read it."""

    pod_id: str
    state: str
    last_heartbeat_ts: str
    slots: int | None
    version: str | None
    host: str | None
    queues: str
    task_types: str

    @classmethod
    def of(cls, view: PodView) -> _PodLine:
        """Make the line of ``view``."""

        def listed(names: Sequence[str] | None) -> str:
            if view.slots is None:
                return "-"
            return "all" if names is None else ", ".join(name or "none" for name in names)

        return cls(
            view.pod_id,
            view.state,
            view.last_heartbeat_ts,
            view.slots,
            view.version,
            view.host,
            listed(view.queues),
            listed(view.task_types),
        )
