"""Frame, what all pages of a dashboard share."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from fleet_q.core.ports import Store
from fleet_q.services.app.app import FleetQ
from fleet_q.services.dashboard.reads import Reads
from fleet_q.services.past import Past

MOST_MESSAGES: Final = 200
"""How many messages are kept; the oldest is dropped."""


@dataclass
class Item:
    """An entry of the navigation. It is marked on its page and on those ``under`` it."""

    page: str
    title: str
    under: set[str] = field(default_factory=set)


class Frame:
    """What all pages of the dashboard of ``fleet`` share. ``read_only``: there are no actions."""

    def __init__(self, fleet: FleetQ, *, read_only: bool) -> None:
        self.fleet = fleet
        self.read_only = read_only
        self.reads = Reads(fleet)
        self.navigation: list[Item] = []
        self._messages: OrderedDict[str, str] = OrderedDict()
        self._past: tuple[Store, Past] | None = None
        self._lock = threading.Lock()

    @property
    def past(self) -> Past:
        """The past of the store, of which it keeps in memory what it has read."""
        store = self.reads.store
        with self._lock:
            if self._past is None or self._past[0] is not store:
                self._past = (store, Past(store))
            return self._past[1]

    def keep_message(self, text: str) -> str:
        """Keep what an action did for the next page, and return the key of it: an address with the
        text itself could be made up by anybody."""
        key = secrets.token_urlsafe(8)
        with self._lock:
            self._messages[key] = text
            if len(self._messages) > MOST_MESSAGES:
                self._messages.popitem(last=False)
        return key

    def message(self, key: str) -> str | None:
        """The message that was kept under this key."""
        return self._messages.get(key)
