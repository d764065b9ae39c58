"""The commands about alerts."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from fleet_q.adapters.open import described
from fleet_q.core.errors import InvalidInput
from fleet_q.services.app import webhook
from fleet_q.services.app.alerts import encoded, trial_notice
from fleet_q.services.cli.options import AppOption, JsonOption, StoreOption, VerboseOption, client
from fleet_q.services.cli.output import print_json, print_table, say

alert_commands = typer.Typer(
    help="What the leader tells people: list alerts, and try the webhook.", no_args_is_help=True
)


@alert_commands.command("list")
def list_alerts(
    all_: Annotated[
        bool, typer.Option("--all", help="also those of the last 30 days that are over")
    ] = False,
    store: StoreOption = None,
    app: AppOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """List the alerts that are raised."""
    views = client(store, app).alerts(only_raised=not all_)
    if json:
        print_json(views)
        return
    lines = [
        {
            "since": f"{view.since[:19]}Z",
            "status": view.status,
            "sent": "yes" if view.was_sent else "no",
            "text": view.text,
        }
        for view in views
    ]
    empty = "no alerts; those that are over: fleet-q alerts list --all"
    print_table(lines, ("since", "status", "sent", "text"), empty)


@alert_commands.command("test")
def send_test(
    store: StoreOption = None, app: AppOption = None, verbose: VerboseOption = False
) -> None:
    """Send a test to FLEET_Q_ALERT_WEBHOOK."""
    fleet = client(store, app)
    url = fleet.settings.alert_webhook
    if url is None:
        raise InvalidInput("FLEET_Q_ALERT_WEBHOOK is not set; it says where alerts are sent")
    body = trial_notice(time.time_ns() // 1_000, described(fleet.where))
    status = webhook.post(url, encoded(body), body["id"])
    say(f"{webhook.shown_webhook(url)} has accepted a test (HTTP {status})")
