"""The router of endpoints that require a role, which is checked before path and body are parsed."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Final

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.convertors import Convertor, register_url_convertor

from fleet_q.core.submission import MAX_DEPTH
from fleet_q.services.app.hiding import without_contents
from fleet_q.services.app.roles import Role
from fleet_q.services.http.access import Access, answering, current_holder
from fleet_q.services.http.models import described
from fleet_q.services.http.roles import role_of

_DESCRIBED: Final = [
    Depends(APIKeyHeader(name="X-API-Key", auto_error=False)),
    Depends(HTTPBearer(auto_error=False)),
]
"""Dependencies that only describe the keys in OpenAPI. The keys are checked by the route, because
FastAPI reads the body before it calls a dependency."""


def locked_router(access: Access) -> APIRouter:
    """Return a router whose endpoints require the roles that ``fleet_q.services.http.roles`` lists,
    if there are keys. They act in the name of the key's holder."""

    class Locked(APIRoute):
        def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
            super().__init__(path, _hiding(endpoint), **options)
            needs = f"\n\nWith keys, it needs the role `{self._role}`."
            self.description = self.description.removesuffix(needs) + needs

        @property
        def _role(self) -> Role:
            (method,) = self.methods or {""}
            return role_of(method, self.path)

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle, role = super().get_route_handler(), self._role

            async def locked(request: Request) -> Response:
                holder = access.holder(request.headers)
                if holder is None:
                    raise HTTPException(
                        401,
                        "an API key is required: send it as X-API-Key, or as a bearer token",
                        {"WWW-Authenticate": "Bearer"},
                    )
                if not holder.may(role):
                    raise HTTPException(
                        403, f"this needs the role {role}; the key {holder.name} has {holder.role}"
                    )
                with answering(holder):
                    return await handle(_JsonRequest(request.scope, request.receive))

            return locked

    return APIRouter(
        route_class=Locked,
        dependencies=_DESCRIBED if access else None,
        responses=described(*((401, 403, 503) if access else (503,))),
    )


def _hiding(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """Return the endpoint, answering holders who do not see payloads without them."""
    if inspect.iscoroutinefunction(endpoint):

        @wraps(endpoint)
        async def hiding(*args: Any, **kwargs: Any) -> Any:
            return _as_seen(await endpoint(*args, **kwargs))
    else:

        @wraps(endpoint)
        def hiding(*args: Any, **kwargs: Any) -> Any:
            return _as_seen(endpoint(*args, **kwargs))

    return hiding


def _as_seen(view: Any) -> Any:
    return view if current_holder().sees_payloads else without_contents(view)


class _JsonRequest(Request):
    """A request that explains a body that is not JSON; FastAPI's own error would not."""

    async def json(self) -> Any:
        try:
            return await super().json()
        except json.JSONDecodeError:
            raise
        except UnicodeDecodeError as error:
            problem = f"byte {error.start} is not UTF-8"
        except RecursionError:
            problem = f"it is nested more than {MAX_DEPTH} deep"
        except ValueError:
            problem = "a number has too many digits"
        raise HTTPException(422, f"the body cannot be read: {problem}")


class _AnyId(Convertor[str]):
    """A path parameter that matches any text; Starlette's ``path`` matches no line break."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("any_id", _AnyId())
