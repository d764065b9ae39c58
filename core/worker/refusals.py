"""Finds the one outcome that the store refuses among others, so that only its step fails."""

from __future__ import annotations

from typing import Final

from fleet_q.core.step import Fail, Outcome, Release

LONGEST_REASON: Final = 500
"""Characters of the store's reason that are kept in the step's error."""


class Refusals:
    """A binary search for refused outcomes.

    After each refusal, a sync carries half as many outcomes and nothing else, until a single one is
    refused. After each success it carries twice as many, up to ``limit``. ``most`` is the number
    for the next sync.
    """

    def __init__(self, limit: int) -> None:
        self.most = limit
        self._limit = limit
        self._replaced: dict[tuple[str, str], int] = {}
        self.kept: set[str] = set()
        """The ids of the steps of which the store has refused every outcome."""

    @property
    def is_searching(self) -> bool:
        """Whether outcomes have to be sent alone, at most ``most`` at once."""
        return self.most < self._limit

    def blames(self, count: int) -> bool:
        """Whether a refusal of ``count`` outcomes identifies the refused one: it was sent alone,
        after the store had accepted the rest of its request."""
        return count == 1 and self.is_searching

    def refused(self, count: int) -> None:
        """The store refused a request with ``count`` outcomes."""
        self.most = max(1, count // 2)

    def accepted(self, count: int) -> None:
        """The store accepted a request with ``count`` outcomes."""
        if count and self.is_searching:
            self.most = min(self._limit, 2 * self.most)
            if not self.is_searching:
                self._replaced.clear()

    def replace(self, outcome: Outcome, reason: str) -> Outcome | None:
        """The outcome to send instead of a refused one.

        First a permanent failure with the store's reason; if that is refused, one without the
        reason; then a release. ``None`` if the release is refused, too: the step stays claimed
        until the pod has gone, and its id is in ``kept``.
        """
        claim = (outcome.step_id, outcome.claim_token)
        number = self._replaced.get(claim, 0)
        self._replaced[claim] = number + 1
        error = "the store refused the step's outcome"
        match number:
            case 0:
                return Fail(*claim, f"{error}: {reason[:LONGEST_REASON]}", permanent=True)
            case 1:
                return Fail(*claim, error, permanent=True)
            case 2:
                return Release(*claim)
        self.kept.add(outcome.step_id)
        return None
