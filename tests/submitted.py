"""What tests say about the results of submissions."""

from __future__ import annotations

from collections.abc import Sequence

from fleet_q.core.ports import SubmitResult


def are_new(results: Sequence[SubmitResult]) -> list[bool]:
    """Whether each of the submissions was stored as a new step."""
    return [result.is_new for result in results]
