"""Who acts: the name that the log records with what this thread or coroutine changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from fleet_q.services.app.context import current

_actor: ContextVar[str | None] = ContextVar("fleet_q_actor", default=None)


def actor() -> str | None:
    """Return who acts, as set by :func:`acting_as` or :func:`act_as`, or the pod whose function
    runs here; ``None``: nobody is named."""
    name = _actor.get()
    if name is None and (step := current.get()) is not None:
        return step.pod_id
    return name


@contextmanager
def acting_as(name: str | None) -> Iterator[None]:
    """Let ``name`` act while the body runs."""
    token = _actor.set(name)
    try:
        yield
    finally:
        _actor.reset(token)


def act_as(name: str | None) -> None:
    """Let ``name`` act from now on."""
    _actor.set(name)
