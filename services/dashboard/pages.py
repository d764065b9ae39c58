"""Pages, the pages and actions of the dashboard, with what every one of them requires."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from fleet_q.core import errors
from fleet_q.services.app.acting import acting_as
from fleet_q.services.app.app import FleetQ
from fleet_q.services.app.keys import Keys
from fleet_q.services.app.roles import EVERYBODY, Holder
from fleet_q.services.dashboard.forms import Form, read_form
from fleet_q.services.dashboard.frame import Frame, Item
from fleet_q.services.dashboard.live import Changes
from fleet_q.services.dashboard.roles import path_of, role_of
from fleet_q.services.dashboard.sessions import Sessions, is_same
from fleet_q.services.dashboard.visit import HEADERS, Visit
from fleet_q.services.past import NotReady
from fleet_q.services.worker.careful_log import CarefulLogger

log = CarefulLogger("fleet_q.dashboard")

COOKIE: Final = "fleet_q_session"

NOBODY: Final = Holder(None, "read")
"""Who has not signed in."""

_STATUS_OF: Final[list[tuple[type[errors.FleetQError], int, str]]] = [
    (errors.UnknownStep, 404, "There is no such step"),
    (errors.UnknownWorkflow, 404, "There is no such workflow"),
    (errors.UnknownSchedule, 404, "There is no such schedule"),
    (errors.InvalidInput, 422, "That is not valid"),
    (errors.StoreUnavailable, 503, "The store does not answer"),
    (errors.StoreError, 500, "The store failed"),
    (errors.FleetQError, 409, "That is not possible now"),
]


@dataclass(frozen=True)
class Done:
    """What an action did: the next page shows ``message``. That page is ``page`` with ``query``,
    or else the one that the form was on."""

    message: str
    page: str | None = None
    query: dict[str, Any] | None = None


class Rejected(Exception):
    """The request is rejected with this status; its text says why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


HolderOf = Callable[[Headers], Holder | None]
PageFunction = Callable[[Visit], Response]
ActionFunction = Callable[[Visit, Form], Done]


class Pages:
    """The pages and actions of the dashboard of ``fleet`` for the holders of ``keys``, of which
    requests may also carry one in their headers. ``read_only``: there are no actions."""

    def __init__(
        self, fleet: FleetQ, keys: Keys, holder_of: HolderOf, *, read_only: bool = False
    ) -> None:
        self.frame = Frame(fleet, read_only=read_only)
        self.keys = keys
        self._holder_of = holder_of
        self.changes = Changes(self.frame.reads)
        self.sessions = Sessions()
        self.routes: list[BaseRoute] = []
        self._token = secrets.token_urlsafe(32)  # of forms, if there are no sessions

    def page(
        self,
        name: str,
        title: str | None = None,
        *,
        under: str | None = None,
    ) -> Callable[[PageFunction], PageFunction]:
        """Make the decorated function the page ``/dashboard/NAME``, or ``/`` without a name. It
        runs in a thread. With a ``title``, the page is in the navigation; else it is ``under``
        another one that is. ``fleet_q.services.dashboard.roles`` lists the role that it needs."""

        def add(function: PageFunction) -> PageFunction:
            role = role_of("GET", name)

            async def show(request: Request) -> Response:
                visit = self._visit(request)
                if isinstance(visit, Response):
                    return visit
                if not visit.viewer.may(role):
                    raise Rejected(403, f"this page is for the role {role}")
                return await run_in_threadpool(_read_and_show, function, visit)

            if title is not None:
                self.frame.navigation.append(Item(name, title))
            for item in self.frame.navigation:
                if item.page == under:
                    item.under.add(name)
            self._add(name, show, "GET")
            return function

        return add

    def action(self, name: str) -> Callable[[ActionFunction], ActionFunction]:
        """Make the decorated function what a form does that is sent to ``/dashboard/NAME``. It runs
        in a thread, if the form comes from a page of this dashboard and the viewer has the role
        that ``fleet_q.services.dashboard.roles`` lists."""

        def add(function: ActionFunction) -> ActionFunction:
            role = role_of("POST", name)

            async def act(request: Request) -> Response:
                visit = self._visit(request)
                if isinstance(visit, Response):
                    return visit
                form = await read_form(request)
                if not is_same(form.get("token") or "", visit.token):
                    raise Rejected(
                        403, "the page is from an earlier session; go back, reload it, try again"
                    )
                if not visit.may(role):
                    raise Rejected(403, f"only the role {role} may do this, and only now")
                with acting_as(visit.viewer.actor):
                    done = await run_in_threadpool(function, visit, form)
                self.frame.reads.forget()
                return self._after(visit, form, done)

            if not self.frame.read_only:
                self._add(name, act, "POST")
            return function

        return add

    def add_raw(self, name: str, endpoint: Callable[[Request], Any], method: str = "GET") -> None:
        """Add an endpoint that checks by itself who asks."""
        self._add(name, endpoint, method)

    def viewer(self, request: Request) -> tuple[Holder, str] | None:
        """Who asks, and the token of their forms; ``None`` if it is nobody who may."""
        if not self.keys:
            return EVERYBODY, self._token
        session = self.sessions.find(request.cookies.get(COOKIE, ""))
        if session is not None:
            renewed = self.keys.renewed(session.holder)
            return None if renewed is None else (renewed, session.token)
        holder = self._holder_of(request.headers)
        return None if holder is None else (holder, self._token)

    def _visit(self, request: Request) -> Visit | Response:
        """The visit, or the way to sign in."""
        viewer = self.viewer(request)
        if viewer is not None:
            return Visit(self.frame, request, *viewer)
        nobody = Visit(self.frame, request, NOBODY, "")
        back = nobody.back if request.method == "GET" else None
        return to(nobody.address("sign-in", back=back or None))

    def _after(self, visit: Visit, form: Form, done: Done) -> Response:
        key = self.frame.keep_message(done.message)
        if done.page is not None:
            return to(visit.address(done.page, **(done.query or {}), done=key))
        page, query = local(form.get("back"))
        separator = "&" if query else "?"
        query = f"?{query}" if query else ""
        return to(f"{visit.address(page)}{query}{separator}done={key}")

    def _add(self, name: str, endpoint: Callable[[Request], Any], method: str) -> None:
        async def answer(request: Request) -> Response:
            try:
                response: Response = await endpoint(request)
            except (errors.FleetQError, Rejected) as error:
                return await run_in_threadpool(self._error, request, error)
            return response

        self.routes.append(Route(path_of(name), answer, methods=[method], include_in_schema=False))

    def _error(self, request: Request, error: Exception) -> Response:
        """The page that says what is wrong."""
        if isinstance(error, Rejected):
            status, title = error.status, "That is not allowed"
        else:
            status, title = next(
                (status, title) for kind, status, title in _STATUS_OF if isinstance(error, kind)
            )
        if status >= 500:
            log.warning("%s %s: %s", request.method, request.url.path, error)
        viewer, token = self.viewer(request) or (NOBODY, "")
        text = str(error)
        if isinstance(error, errors.StoreError | errors.StoreUnavailable) and not (
            self.keys and viewer.sees_payloads
        ):
            text = "The log of the process says why."  # the message may say where the store is
        scope = {**request.scope, "query_string": b""}  # the time may be what is wrong
        visit = Visit(self.frame, Request(scope), viewer, token)
        return visit.render("error.html", status, title=title, text=text)


def local(back: str | None) -> tuple[str, str]:
    """The page and the query of an address within the dashboard; the overview if it is another."""
    page, _, query = (back or "").partition("?")
    if not all(letter.isalnum() or letter == "-" for letter in page) or not page.isascii():
        return "", ""
    kept = [part for part in query.split("&") if part and not part.startswith("done=")]
    return page, "&".join(kept) if query.isprintable() and query.isascii() else ""


def _read_and_show(function: PageFunction, visit: Visit) -> Response:
    visit.counter()  # first: a change while the page is read shows as a later one
    try:
        return function(visit)
    except NotReady as error:
        return visit.not_ready(error)


def to(address: str) -> Response:
    """A redirect, after which the browser asks with GET."""
    response = RedirectResponse(address, 303, HEADERS)
    response.headers["Location"] = address  # relative: a prefix that a proxy adds stays
    return response
