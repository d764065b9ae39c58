"""Sessions, of those who signed in to the dashboard with a key."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fleet_q.services.app.roles import Holder

SESSION_SECONDS: Final = 12 * 3_600.0
"""How long a session lasts after its last request: a working day."""

MOST_SESSIONS: Final = 1_000
"""The most sessions that are kept; the one that was used longest ago ends first."""


@dataclass
class Session:
    """Who has signed in. ``token`` is in every form of its pages: other sites cannot read it."""

    holder: Holder
    token: str
    used_at: float


class Sessions:
    """The sessions of a process, kept in memory. ``clock`` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}

    def begin(self, holder: Holder) -> str:
        """Begin a session; return the secret that identifies it."""
        secret = secrets.token_urlsafe(32)
        with self._lock:
            self._forget_old()
            self._sessions[secret] = Session(holder, secrets.token_urlsafe(32), self._clock())
        return secret

    def find(self, secret: str) -> Session | None:
        """The session with this secret, unless it has ended."""
        with self._lock:
            session = self._sessions.get(secret)
            if session is None:
                return None
            if self._clock() - session.used_at > SESSION_SECONDS:
                del self._sessions[secret]
                return None
            session.used_at = self._clock()
            return session

    def end(self, secret: str) -> None:
        """End a session, if there is one."""
        with self._lock:
            self._sessions.pop(secret, None)

    def _forget_old(self) -> None:
        oldest = self._clock() - SESSION_SECONDS
        for secret in [s for s, session in self._sessions.items() if session.used_at < oldest]:
            del self._sessions[secret]
        while len(self._sessions) >= MOST_SESSIONS:
            del self._sessions[min(self._sessions, key=lambda s: self._sessions[s].used_at)]


def is_same(given: str, expected: str) -> bool:
    """Compare secrets in constant time."""
    return hmac.compare_digest(given.encode(), expected.encode())
