"""How a locked endpoint takes a request: its key first, then its path, then its body."""

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
"""What the OpenAPI description says of keys. They are checked elsewhere: FastAPI reads the body
before it asks a dependency."""


def locked_router(keys: Keys) -> APIRouter:
    """A router whose every endpoint asks for one of ``keys``, if there are any."""

    class Locked(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def locked(request: Request) -> Response:
                if keys and not keys.has_one(request.headers):
                    raise HTTPException(
                        401, "an API key is needed: X-API-Key", {"WWW-Authenticate": "Bearer"}
                    )
                return await handle(_JsonRequest(request.scope, request.receive))

            return locked

    return APIRouter(
        route_class=Locked,
        dependencies=_DESCRIBED if keys else None,
        responses=described(*((401, 503) if keys else (503,))),
    )


class _JsonRequest(Request):
    """Says what is wrong with a body where FastAPI would only say that something is."""

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
    """Any text at all: Starlette's own ``path`` ends at a line break."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("any_id", _AnyId())
