"""``--watch``: shows something until Ctrl-C, and reads it again only after a change."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, TypeVar

from rich.console import Group
from rich.live import Live
from rich.text import Text

from fleet_q.core.errors import StoreUnavailable
from fleet_q.core.retry import MICROS
from fleet_q.services.app.app import FleetQ
from fleet_q.services.app.moments import age
from fleet_q.services.app.on_change import ReadOnChange
from fleet_q.services.app.views import timestamp
from fleet_q.services.cli.output import out, print_json_line, say, tell
from fleet_q.services.cli.signals import ending_at_once
from fleet_q.services.worker.escapes import one_line

T = TypeVar("T")

REDRAW_INTERVAL: Final = 1.0
"""Seconds between two pictures, for which the store is asked whether anything has changed."""

LONGEST_VALID: Final = 10.0
"""Seconds after which it is read again without a change, because delayed steps become due and pods
send heartbeats; only on a store where that costs nothing."""


class _Seen(NamedTuple):
    """What was read, how many seconds ago, and why it could not be read since."""

    view: Any
    elapsed: float
    note: str


def watch(
    fleet: FleetQ,
    read: Callable[[], T],
    lines: Callable[[T, float], Sequence[Text]],
    *,
    json: bool,
    is_over: Callable[[T], bool] = lambda view: False,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Show what ``read()`` returns until Ctrl-C, or until it ``is_over``: in place on a terminal,
    else whenever it has changed, with ``json`` as one line each.

    ``lines`` are those of a view that was read so many seconds ago. ``clock`` is monotonic, in
    seconds. Raises what the first reading raises.
    """
    store = fleet.store
    valid_for = None if store.traits.writes_are_billed else LONGEST_VALID
    interval = fleet.settings.claim_interval
    reader = ReadOnChange(store, read, interval, lambda _: valid_for, clock)

    def seen() -> Iterator[_Seen]:
        view, elapsed = reader.current()
        note = ""
        while True:
            yield _Seen(view, elapsed, note)
            if is_over(view):
                return
            sleep(REDRAW_INTERVAL)
            try:
                view, elapsed = reader.current()
                note = ""
            except StoreUnavailable as error:
                elapsed += REDRAW_INTERVAL
                note = one_line(str(error))

    with suppress(KeyboardInterrupt), ending_at_once():
        if sys.stdout.isatty() and not json:
            _show_in_place(seen(), lines)
        else:
            _show_changes(seen(), lines, json)


def _show_in_place(seen: Iterator[_Seen], lines: Callable[[Any, float], Sequence[Text]]) -> None:
    first = next(seen)  # what it raises ends the command, before the terminal is changed
    with Live(
        console=out, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
    ) as live:
        live.update(_picture(first, lines), refresh=True)
        for each in seen:
            live.update(_picture(each, lines), refresh=True)


def _picture(seen: _Seen, lines: Callable[[Any, float], Sequence[Text]]) -> Group:
    status = seen.note or f"read {age(seen.elapsed)} ago; Ctrl-C ends"
    shown = [
        *lines(seen.view, seen.elapsed),
        Text(),
        Text(status, style="yellow" if seen.note else "dim"),
    ]
    for line in shown:
        line.no_wrap, line.overflow = True, "ellipsis"
    return Group(*shown)


def _show_changes(
    seen: Iterator[_Seen], lines: Callable[[Any, float], Sequence[Text]], json: bool
) -> None:
    last, last_note = None, ""
    for each in seen:
        if each.note not in ("", last_note):
            tell(f"fleet-q: {each.note}")
        last_note = each.note
        if each.view == last:
            continue
        last = each.view
        if json:
            print_json_line(each.view)
        else:
            say(timestamp(int(time.time() * MICROS)))
            for line in lines(each.view, each.elapsed):
                out.print(line)
            say("")
        sys.stdout.flush()
