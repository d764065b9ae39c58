"""How an outcome that the store refuses is found among others, so that only its step fails."""

from __future__ import annotations

from typing import Final

from fleet_q.core.step import Fail, Outcome, Release

LONGEST_REASON: Final = 500
"""Characters kept of the reason that a store gives."""


class Refusals:
    """After a refusal, turns carry half as many outcomes and nothing else, until one is refused
    alone; after that, twice as many each time, up to ``limit``."""

    def __init__(self, limit: int) -> None:
        self.most = limit
        self._limit = limit
        self._replaced: dict[tuple[str, str], int] = {}
        self.kept: set[str] = set()
        """The steps of which the store has refused every outcome."""

    @property
    def is_searching(self) -> bool:
        """Whether outcomes are to come alone, and only ``most`` at once."""
        return self.most < self._limit

    def blames(self, count: int) -> bool:
        """Whether a refusal of ``count`` outcomes says which one is refused: a single one that
        was already sent again, after the store had taken everything else."""
        return count == 1 and self.is_searching

    def refused(self, count: int) -> None:
        """So many outcomes were refused together."""
        self.most = max(1, count // 2)

    def accepted(self, count: int) -> None:
        """So many outcomes were taken together."""
        if count and self.is_searching:
            self.most = min(self._limit, 2 * self.most)
            if not self.is_searching:
                self._replaced.clear()

    def replace(self, outcome: Outcome, reason: str) -> Outcome | None:
        """What to send instead of an outcome that is refused: a small failure, for good; if that
        is refused too, one that says nothing of the store's; then a release. ``None`` if all were
        refused: the step stays claimed until the pod has gone, and is in ``kept``."""
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
