"""The keys of an API that asks for one."""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers


class Keys:
    """Tells whether a request has one of ``keys``."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._keys = [key.encode() for key in keys]

    def __bool__(self) -> bool:
        return bool(self._keys)

    def has_one(self, headers: Headers) -> bool:
        """Whether ``X-API-Key``, or else a bearer token, is one of the keys."""
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        bearer = token.strip() if scheme.lower() == "bearer" else ""
        given = (headers.get("X-API-Key") or bearer).encode()
        # Every key is compared, in constant time, so that no answer comes sooner than another.
        matches = [hmac.compare_digest(given, key) for key in self._keys]
        return any(matches)
