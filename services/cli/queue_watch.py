"""``fleet-q queue --watch``, which shows the queues until Ctrl-C."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final

from rich.console import Group
from rich.live import Live
from rich.text import Text

from fleet_q.core.errors import InvalidInput, StoreUnavailable
from fleet_q.services.app.app import FleetQ
from fleet_q.services.app.moments import age
from fleet_q.services.app.on_change import ReadOnChange
from fleet_q.services.app.queue_stats import QueueStatsView
from fleet_q.services.cli.output import out, terminal_width
from fleet_q.services.cli.queue_table import report
from fleet_q.services.cli.signals import ending_at_once
from fleet_q.services.worker.escapes import one_line

REDRAW_INTERVAL: Final = 1.0
"""Seconds between two pictures, for which the store is asked whether anything has changed."""

LONGEST_VALID: Final = 10.0
"""Seconds after which the steps are counted again without a change, because delayed ones become due
and others leave the window; only on a store where that costs nothing."""


def watch_queues(
    fleet: FleetQ,
    json: bool,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Show what waits and runs in place until Ctrl-C. The steps are counted only after a change."""
    if json:
        raise InvalidInput("--watch is for people; leave out --json, or run --json again and again")
    if not sys.stdout.isatty():
        raise InvalidInput("--watch needs a terminal; leave it out to print the queues once")
    store = fleet.store
    valid_for = None if store.traits.writes_are_billed else LONGEST_VALID
    interval = fleet.settings.claim_interval
    stats = ReadOnChange(store, fleet.queue_stats, interval, lambda _: valid_for, clock)
    view, elapsed = stats.current()  # what it raises ends the command
    note = ""
    with (
        suppress(KeyboardInterrupt),
        ending_at_once(),
        Live(
            console=out,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        ) as live,
    ):
        while True:
            live.update(_picture(view, elapsed, note), refresh=True)
            sleep(REDRAW_INTERVAL)
            try:
                view, elapsed = stats.current()
                note = ""
            except StoreUnavailable as error:
                elapsed += REDRAW_INTERVAL
                note = one_line(str(error))


def _picture(view: QueueStatsView, elapsed: float, note: str) -> Group:
    """The view ``elapsed`` seconds after it was read: what waits has waited for longer since."""
    queues = [
        row if row.oldest_age is None else replace(row, oldest_age=row.oldest_age + elapsed)
        for row in view.queues
    ]
    lines = report(replace(view, queues=queues), terminal_width())
    status = note or f"counted {age(elapsed)} ago; Ctrl-C ends"
    lines += [Text(), Text(status, style="yellow" if note else "dim")]
    for line in lines:
        line.no_wrap, line.overflow = True, "ellipsis"
    return Group(*lines)
