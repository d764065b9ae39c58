"""``fleet-q audit --watch``: shows what happens until Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from fleet_q.core.errors import StoreUnavailable
from fleet_q.services.app.app import FleetQ
from fleet_q.services.app.audit import AuditEntry
from fleet_q.services.app.on_change import ReadOnChange
from fleet_q.services.cli.output import tell
from fleet_q.services.cli.watch import LONGEST_VALID, REDRAW_INTERVAL

OVERLAP: Final = timedelta(seconds=30)
"""What happened so long before the latest event is read again, because an event is in the log once
its transaction has ended, which may be later than its time."""

Pages = Callable[[FleetQ, dict[str, Any]], Iterator[AuditEntry]]
"""Reads the entries that meet these conditions, the oldest first."""


def follow(
    fleet: FleetQ,
    conditions: dict[str, Any],
    pages: Pages,
    shown: Iterable[AuditEntry],
    show: Callable[[AuditEntry], object],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Show each entry that meets the conditions and comes after those that are ``shown``, until
    Ctrl-C. The log is read only after a change. ``clock`` is monotonic, in seconds."""
    latest = max((_time(entry) for entry in shown), default=datetime.now(UTC))
    before: datetime | None = latest  # what the first reading finds of before is not shown
    seen: dict[tuple[str, str, int], datetime] = {}

    def read() -> None:
        nonlocal latest, before
        for entry in pages(fleet, {**conditions, "since": latest - OVERLAP}):
            if (key := _key(entry)) not in seen:
                at = seen[key] = _time(entry)
                if before is None or at > before:
                    show(entry)
        before = None
        latest = max([latest, *seen.values()])
        for key in [key for key, at in seen.items() if at < latest - OVERLAP]:
            del seen[key]

    valid_for = None if fleet.store.traits.writes_are_billed else LONGEST_VALID
    interval = fleet.settings.claim_interval
    reader = ReadOnChange(fleet.store, read, interval, lambda _: valid_for, clock)
    last_note = ""
    with suppress(KeyboardInterrupt):
        while True:
            try:
                reader.current()
                last_note = ""
            except StoreUnavailable as error:
                if str(error) != last_note:
                    last_note = str(error)
                    tell(f"fleet-q: {error}")
            sleep(REDRAW_INTERVAL)


def _time(entry: AuditEntry) -> datetime:
    return datetime.fromisoformat(entry.at)


def _key(entry: AuditEntry) -> tuple[str, str, int]:
    return entry.of, entry.name, entry.version
