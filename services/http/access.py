"""Access, which tells who sends a request, by its API key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from starlette.datastructures import Headers

from fleet_q.services.app.acting import acting_as
from fleet_q.services.app.keys import Keys
from fleet_q.services.app.roles import EVERYBODY, Holder

_holder: Final = ContextVar("fleet_q_holder", default=EVERYBODY)


class Access:
    """Tells who sends a request; without ``keys``, that is everybody, who may do everything."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys

    def __bool__(self) -> bool:
        """Whether requests need a key."""
        return bool(self.keys)

    def holder(self, headers: Headers) -> Holder | None:
        """Return who sends a request with these headers; ``None`` if it needs a key and has none.

        The key is ``X-API-Key`` or, without it, the bearer token. A request with several of either
        has none, because a proxy in front may have checked another one.
        """
        if not self.keys:
            return EVERYBODY
        given = headers.getlist("X-API-Key")
        authorizations = headers.getlist("Authorization")
        if len(given) > 1 or len(authorizations) > 1:
            return None
        secret = given[0] if given else ""
        if not secret and authorizations:
            scheme, _, token = authorizations[0].partition(" ")
            secret = token.strip() if scheme.lower() == "bearer" else ""
        return self.keys.holder(secret) if secret else None

    def has_key(self, headers: Headers) -> bool:
        """Whether there are keys, and a request with these headers has one."""
        return bool(self.keys) and self.holder(headers) is not None

    def sees_details(self, headers: Headers) -> bool:
        """Whether the sender may read the store's own messages, which may tell where it is."""
        holder = self.holder(headers) if self.keys else None
        return holder is not None and holder.sees_payloads


@contextmanager
def answering(holder: Holder) -> Iterator[None]:
    """Answer a request of ``holder`` while the body runs: what the request changes is recorded in
    the holder's name."""
    token = _holder.set(holder)
    try:
        with acting_as(holder.actor):
            yield
    finally:
        _holder.reset(token)


def current_holder() -> Holder:
    """Return who sends the request that is answered here; outside of requests, everybody."""
    return _holder.get()
