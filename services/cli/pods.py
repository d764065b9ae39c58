"""The commands about the pods of the fleet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from fleet_q.services.app.views import PodView
from fleet_q.services.cli.options import AppOption, JsonOption, StoreOption, VerboseOption, client
from fleet_q.services.cli.output import print_json, print_table, print_view

pods_commands = typer.Typer()


@pods_commands.command()
def pods(
    all_: Annotated[
        bool, typer.Option("--all", help="also those that have left, are dead or are silent")
    ] = False,
    store: StoreOption = None,
    app: AppOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """List the live pods, and what they told when they joined."""
    views = client(store, app).pods(only_live=not all_)
    if json:
        print_json(views)
        return
    host = () if all(view.names_host for view in views) else ("host",)
    lines = [_PodLine.of(view) for view in views]
    if all_:
        columns = ("pod_id", "state", "last_heartbeat_ts", "version", *host)
        print_table(lines, columns, "no pod has started yet")
    else:
        columns = ("pod_id", "state", "slots", "version", *host, "queues", "task_types")
        empty = "no pod is alive; others: fleet-q pods --all"
        print_table(lines, columns, empty, cut="task_types")


@pods_commands.command()
def leader(
    store: StoreOption = None, app: AppOption = None, json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:  # fmt: skip
    """Show the leader, the oldest live pod, and the live pods."""
    view = client(store, app).leader()
    print_view(view, json)


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
