"""The router of endpoints that require a key, which is checked before path and body are parsed."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.convertors import Convertor, register_url_convertor

from fleet_q.core.submission import MAX_DEPTH
from fleet_q.services.http.keys import Keys
from fleet_q.services.http.models import described

_DESCRIBED: Final = [
    Depends(APIKeyHeader(name="X-API-Key", auto_error=False)),
    Depends(HTTPBearer(auto_error=False)),
]
"""Dependencies that only describe the keys in OpenAPI. The keys are checked by the route, because
FastAPI reads the body before it calls a dependency."""


def locked_router(keys: Keys) -> APIRouter:
    """Return a router whose endpoints require one of ``keys``, if there are any."""

    class Locked(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def locked(request: Request) -> Response:
                if keys and not keys.has_one(request.headers):
                    raise HTTPException(
                        401,
                        "an API key is required: send it as X-API-Key, or as a bearer token",
                        {"WWW-Authenticate": "Bearer"},
                    )
                return await handle(_JsonRequest(request.scope, request.receive))

            return locked

    return APIRouter(
        route_class=Locked,
        dependencies=_DESCRIBED if keys else None,
        responses=described(*((401, 503) if keys else (503,))),
    )


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
