"""The pages to sign in with a key and to sign out."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from fleet_q.services.dashboard.forms import read_form
from fleet_q.services.dashboard.pages import COOKIE, NOBODY, Pages, Rejected, local, to
from fleet_q.services.dashboard.sessions import is_same
from fleet_q.services.dashboard.visit import Visit


def add_session(pages: Pages) -> None:
    """Add the pages to sign in and out."""

    async def sign_in(request: Request) -> Response:
        visit = Visit(pages.frame, request, NOBODY, "")
        back = request.query_params.get("back", "")
        if not pages.keys or pages.viewer(request) is not None:
            return _back(visit, back)
        return await _form(visit, back)

    async def check(request: Request) -> Response:
        visit = Visit(pages.frame, request, NOBODY, "")
        form = await read_form(request)
        back = form.get("back") or ""
        holder = pages.keys.holder((form.get("key") or "").strip())
        if holder is None:
            return await _form(visit, back, 401, "No key is spelled like this.")
        response = _back(visit, back)
        response.set_cookie(
            COOKIE,
            pages.sessions.begin(holder),
            path=request.scope.get("root_path", "") or "/",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return response

    async def sign_out(request: Request) -> Response:
        form = await read_form(request)
        viewer = pages.viewer(request)
        if viewer is not None and not is_same(form.get("token") or "", viewer[1]):
            raise Rejected(403, "the page is from an earlier session; reload it, and try again")
        pages.sessions.end(request.cookies.get(COOKIE, ""))
        response = to(Visit(pages.frame, request, NOBODY, "").address("sign-in"))
        response.delete_cookie(COOKIE, path=request.scope.get("root_path", "") or "/")
        return response

    pages.add_raw("sign-in", sign_in)
    pages.add_raw("sign-in", check, "POST")
    pages.add_raw("sign-out", sign_out, "POST")


async def _form(visit: Visit, back: str, status: int = 200, problem: str = "") -> Response:
    return await run_in_threadpool(visit.render, "sign-in.html", status, back=back, problem=problem)


def _back(visit: Visit, back: str) -> Response:
    page, query = local(back)
    return to(visit.address(page) + (f"?{query}" if query else ""))
