"""Keys, the API keys of a pod."""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers


class Keys:
    """Checks whether a request carries one of ``keys``."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._keys = [key.encode() for key in keys]

    def __bool__(self) -> bool:
        return bool(self._keys)

    def has_one(self, headers: Headers) -> bool:
        """Whether ``X-API-Key``, or without it the bearer token, is one of the keys."""
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        bearer = token.strip() if scheme.lower() == "bearer" else ""
        given = (headers.get("X-API-Key") or bearer).encode()
        # Constant-time comparison with every key, so that timing reveals nothing about them.
        matches = [hmac.compare_digest(given, key) for key in self._keys]
        return any(matches)
