"""How many pods a fleet needs for the steps that wait and run."""

from __future__ import annotations

from typing import Final

SOON: Final = 60.0
"""Seconds before a step becomes due at which a pod is wanted for it: about the time until an
autoscaler, which asks twice a minute, has asked and a pod has started."""


def wanted_pods(
    steps: int, slots: int, *, due_in: float | None, least: int = 0, most: int | None = None
) -> int:
    """Return how many pods of ``slots`` slots run ``steps``, claimable and claimed, at once.

    One pod is wanted for a step that becomes due within :data:`SOON`; ``due_in`` are the seconds
    until the next one does. The number is at least ``least`` and at most ``most``.
    """
    is_due_soon = due_in is not None and due_in <= SOON
    wanted = max(-(-steps // slots), int(is_due_soon), least)
    return wanted if most is None else min(wanted, most)
