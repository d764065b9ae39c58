"""Guard, the protection of a pod against web pages in browsers that can reach it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fleet_q.services.app.hosts import ANY, Host
from fleet_q.services.http.access import Access

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_NO_FRAME: Final = (b"x-frame-options", b"DENY")


class Guard:
    """ASGI middleware that rejects requests made by pages of other sites.

    - ``Host`` must be one of ``hosts``: against DNS rebinding, in which a site points its own name
      to the pod's address and so shares its origin. ``/health`` also accepts any IP address, which
      probes use.
    - A request that changes something must not come from a page of another origin, except those
      of ``trusted``, and its body must be JSON, which such a page cannot send without a preflight.
      With ``forms``, below ``/dashboard/`` it must be a form of a page of this origin; the
      dashboard checks a token in it, too.
    - No answer may be shown in a frame: against clickjacking of the interactive documentation.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Sequence[str],
        trusted: Sequence[str],
        access: Access,
        *,
        forms: bool = False,
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._trusted = trusted
        self._access = access
        self._forms = forms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer with the reason for rejecting it."""

        async def send_unframed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], _NO_FRAME]}
            await send(message)

        problem = self._problem(scope) if scope["type"] == "http" else None
        if problem is None:
            await self._app(scope, receive, send_unframed)
        else:
            status, detail = problem
            await JSONResponse({"detail": detail}, status)(scope, receive, send)

    def _problem(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        is_health = path == "/health"
        problem = self._host_problem(headers, is_health)
        if problem is not None or scope["method"] in _READING:
            return problem
        if self._forms and path.startswith("/dashboard/"):
            return self._origin_problem(headers, ())
        return self._origin_problem(headers, self._trusted) or self._type_problem(headers)

    def _host_problem(self, headers: Headers, is_health: bool) -> tuple[int, str] | None:
        if ANY in self._hosts:
            return None
        if is_health and "host" not in headers:
            return None  # a probe in HTTP/1.0; browsers always send Host
        host = Host.parse(headers.get("host", ""))
        if host is None:
            return 400, "the Host header is missing, or names no host"
        if host.is_among(self._hosts) or (is_health and host.is_address):
            return None
        return 421, f"{host.name!r} is not a host of this pod: add it to FLEET_Q_ALLOWED_HOSTS"

    def _origin_problem(self, headers: Headers, trusted: Sequence[str]) -> tuple[int, str] | None:
        site = headers.get("sec-fetch-site", "none")
        if "origin" in headers:
            origin = Host.of_origin(headers["origin"])
            if origin is not None and origin.is_among(trusted):
                return None
            is_own = origin is not None and _is_same(origin, headers.get("host", ""))
        else:
            is_own = True
        if is_own and site in ("none", "same-origin"):
            return None
        return 403, "a web page of another origin may not change anything here"

    def _type_problem(self, headers: Headers) -> tuple[int, str] | None:
        has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        content_type = headers.get("content-type")
        if _is_json(content_type) or (
            not has_body and (content_type is None or self._access.has_key(headers))
        ):
            return None
        return 415, "the body must be JSON: send it with Content-Type: application/json"


def _is_same(origin: Host, host_header: str) -> bool:
    """Whether ``Host`` is the host of ``origin``. ``Host`` may omit the port of its scheme, 80 or
    443."""
    host = Host.parse(host_header)
    if host is None or host.name != origin.name:
        return False
    return host.port == origin.port or (host.port is None and origin.port in (80, 443))


def _is_json(content_type: str | None) -> bool:
    media_type = (content_type or "").partition(";")[0].strip().lower()
    return media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )
