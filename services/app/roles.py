"""Roles, what the holder of an API key may do; each may also do what those before it may."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, get_args

Role = Literal["read", "read+payloads", "submit", "work", "admin"]
"""What a holder may do.

- ``read``: see steps, queues, schedules and pods, but not what steps contain.
- ``read+payloads``: also see what they contain: payloads, results, errors, labels.
- ``submit``: also submit and cancel steps.
- ``work``: also claim steps and end them.
- ``admin``: everything.
"""

ROLES: Final[tuple[Role, ...]] = get_args(Role)


@dataclass(frozen=True)
class Holder:
    """Who sends a request: the ``name`` and the ``role`` of the key. Without keys, everybody is an
    admin without a name. ``key`` is a digest of the key."""

    name: str | None
    role: Role
    key: bytes = field(default=b"", repr=False)

    def may(self, role: Role) -> bool:
        """Whether the holder may do what this role may do."""
        return ROLES.index(self.role) >= ROLES.index(role)

    @property
    def sees_payloads(self) -> bool:
        """Whether the holder sees what steps contain."""
        return self.may("read+payloads")

    @property
    def actor(self) -> str | None:
        """The name under which the log records what the holder does; ``None`` without a name."""
        return None if self.name is None else f"{ACTOR_PREFIX}{self.name}"


ACTOR_PREFIX: Final = "key:"
"""Begins the names of holders in the log. No pod's id may begin so."""

EVERYBODY: Final = Holder(None, "admin")
"""Who sends a request to an API without keys."""
