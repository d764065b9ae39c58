"""Visit, one request of a page: who looks, at which time, and what the page may read and show."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse

from fleet_q.core.errors import InvalidInput
from fleet_q.core.retry import MICROS
from fleet_q.services.app.app import FleetQ
from fleet_q.services.app.hiding import without_contents
from fleet_q.services.app.moments import parse_moment
from fleet_q.services.app.roles import Holder, Role
from fleet_q.services.dashboard.frame import Frame
from fleet_q.services.dashboard.render import environment, iso
from fleet_q.services.past import NotReady, Past

T = TypeVar("T")

SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""The headers of every page. A page may have secrets in it, so no cache may keep it."""


class Visit:
    """One request of a page."""

    def __init__(self, frame: Frame, request: Request, viewer: Holder, token: str) -> None:
        self.frame = frame
        self.request = request
        self.viewer = viewer
        self.token = token
        """What forms must send, so that no other site can send them."""
        self.now = time.time_ns() // 1_000
        self.at = self._parse_at(request.query_params.get("at"))
        """The time of which the page shows the fleet, in microseconds since 1970; ``None``: now."""
        self.oldest_read: float | None = None
        """How many seconds ago the oldest value was read that the page shows."""
        self._counter: int | None = None

    @property
    def fleet(self) -> FleetQ:
        """The app with which actions change things; it wakes the pod."""
        return self.frame.fleet

    @property
    def reader(self) -> FleetQ:
        """The app with which pages read, by a connection of their own."""
        return self.frame.reads.fleet

    @property
    def may_change(self) -> bool:
        """Whether the viewer may change anything on this page."""
        return self.may("admin")

    def may(self, role: Role) -> bool:
        """Whether the page offers what ``role`` may do: not in the past, nor if it only shows."""
        return not self.frame.read_only and self.at is None and self.viewer.may(role)

    def query(self, name: str) -> str | None:
        """The last value of a parameter; ``None`` if it is absent or empty."""
        return self.request.query_params.get(name) or None

    def queries(self, name: str) -> list[str]:
        """All values of a parameter that are not empty."""
        return [value for value in self.request.query_params.getlist(name) if value]

    def url(self, page: str = "", **query: Any) -> str:
        """The address of a page, relative to this one, at the same time. A query's value may be a
        list; one that is ``None`` is left out."""
        if self.at is not None:
            query = {"at": iso(self.at), **query}
        return self.address(page, **query)

    def address(self, page: str = "", **query: Any) -> str:
        """The address of a page, relative to this one, whatever its time."""
        pairs = [
            (name, value)
            for name, values in query.items()
            for value in (values if isinstance(values, list | tuple) else [values])
            if value is not None
        ]
        path = f"{self.root}dashboard/{page}" if page else self.root
        return f"{path}?{urlencode(pairs)}" if pairs else path

    def here(self, **changed: Any) -> str:
        """The address of this page with some parameters changed, or left out if ``None``."""
        query: dict[str, Any] = {}
        for name, value in self.request.query_params.multi_items():
            if name != "done" and value:
                query.setdefault(name, []).append(value)
        return self.address(self.name, **{**query, **changed})

    @property
    def name(self) -> str:
        """The name of this page; that of the overview is empty."""
        path: str = self.request.scope["path"]
        path = path.removeprefix(self.request.scope.get("root_path", ""))
        return path.removeprefix("/dashboard").lstrip("/")

    @property
    def back(self) -> str:
        """This page with its parameters, for a form to come back to."""
        query = self.request.url.query
        return f"{self.name}?{query}" if query else self.name

    @property
    def root(self) -> str:
        """The address of the overview, relative to this page."""
        return "../" if self.name else "./"

    def counter(self) -> int:
        """The change counter, as it was before the page read anything."""
        if self._counter is None:
            self._counter = self.frame.reads.counter()
        return self._counter

    @property
    def known_counter(self) -> str:
        """The change counter, if it was read."""
        return "" if self._counter is None else str(self._counter)

    @property
    def past(self) -> Past:
        """The fleet as it was at any time."""
        return self.frame.past

    def span(self) -> tuple[int, int] | None:
        """The times between which the slider moves, that of the first event and now; ``None``:
        nothing happened yet, or it is the page of an error."""
        first = None if self._counter is None else self.past.first()
        return None if first is None else (min(first, self.now), self.now)

    def read(self, key: Hashable, read: Callable[[], T]) -> T:
        """What ``read()`` returns. If reads cost money, it is kept under ``key``, for the time of
        this page, until something changes."""
        value, age = self.frame.reads.kept((key, self.at), read, self.counter())
        self.oldest_read = max(self.oldest_read or 0.0, age)
        return value

    def read_at(self, key: Hashable, now: Callable[[], T], then: Callable[[int], T]) -> T:
        """What ``now()`` returns or, if the page is of the past, ``then(at)``; kept as by
        :meth:`read`."""
        at = self.at
        return self.read(key, now if at is None else lambda: then(at))

    def not_ready(self, error: NotReady) -> HTMLResponse:
        """The page that says how much of the log has been read."""
        return self.render("not-ready.html", unread=error)

    def shown(self, view: T) -> T:
        """A view, or a list of views, as the viewer may see it."""
        return view if self.viewer.sees_payloads else without_contents(view)

    def render(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """The page that a template makes of ``values``."""
        html = environment.get_template(template).render(
            visit=self,
            url=self.url,
            address=self.address,
            viewer=self.viewer,
            message=self.frame.message(self.query("done") or ""),
            **values,
        )
        return HTMLResponse(html, status, HEADERS)

    def _parse_at(self, text: str | None) -> int | None:
        if not text:
            return None
        moment = parse_moment(text)
        if isinstance(moment, datetime):
            at = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
        else:
            at = self.now / MICROS - moment.total_seconds()
        micros = round(at * MICROS)
        if not 0 <= micros < 253_402_300_800 * MICROS:
            raise InvalidInput(f"{text!r} is not between 1970 and 9999")
        return None if micros >= self.now else micros
