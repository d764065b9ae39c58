"""How an outcome that the store refuses is found among others, so that only its step fails."""

from __future__ import annotations

from typing import Final

from fleet_q.core.step import Fail, Outcome

LONGEST_REASON: Final = 500
"""Characters kept of the reason that a store gives."""


class Refusals:
    """After a refusal, turns carry half as many outcomes and nothing else, until one is refused
    alone; after that, twice as many each time, up to ``limit``."""

    def __init__(self, limit: int) -> None:
        self.most = limit
        self._limit = limit
        self._replaced: set[tuple[str, str]] = set()

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

    def replace(self, outcome: Outcome, reason: str) -> Fail | None:
        """What to tell instead of an outcome that is refused: a small failure, for good. ``None``
        if that was refused too; then the step stays claimed until the pod has gone."""
        claim = (outcome.step_id, outcome.claim_token)
        if claim in self._replaced:
            return None
        self._replaced.add(claim)
        error = f"the store refused the step's outcome: {reason[:LONGEST_REASON]}"
        return Fail(*claim, error, permanent=True)
