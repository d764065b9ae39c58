"""What runs a pod's functions: the port that the runners implement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fleet_q.core.step import Step

Claim = tuple[str, str]
"""A step's id and the token that it is claimed under."""


class Functions(Protocol):
    """Runs the functions of the steps that a pod holds. No call here waits for a function."""

    @property
    def should_pull(self) -> bool:
        """Whether functions wait that may begin."""

    def start(self, steps: Sequence[Step], begin_by: float, ahead: float = 0.0) -> None:
        """Run these steps. Those without a free slot wait for one until ``begin_by``; after that,
        they wait for :meth:`confirm`. The store's clock, by which a step may have to begin, is
        ``ahead`` of that of ``begin_by``, in seconds; a step that is too late is released."""

    def confirm(self, begin_by: float) -> None:
        """The claims of all steps that wait still stand: they may begin until ``begin_by``."""

    def pull(self) -> None:
        """Begin the steps that wait, as far as there are free slots."""

    def withdraw(self, keep: int) -> list[Claim]:
        """Take back the steps that wait, except the first ``keep`` in claim order."""

    def take_stuck(self, before: float) -> list[Claim]:
        """Take back the steps that wait since before that time although there are free slots."""

    def forget(self, step_id: str, claim_token: str) -> None:
        """This function has ended by itself, and its outcome will be recorded."""

    def abandon(self, step_id: str, claim_token: str) -> None:
        """Stop this function."""

    def close(self) -> None:
        """Stop all functions."""
