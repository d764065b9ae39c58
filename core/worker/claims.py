"""The claims that a pod holds: of steps whose functions run or wait to begin."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from fleet_q.core.step import Fail, Step


class Held(msgspec.Struct, gc=False):
    """A claim of a step with ``size`` bytes of payload. Its function may run for ``timeout``
    seconds, and has to end by ``deadline``; both are infinite until it begins. ``on_timeout`` is
    the outcome if it has not ended by then, unless that is as the settings say."""

    claim_token: str
    attempt: int
    size: int
    timeout: float = math.inf
    deadline: float = math.inf
    on_timeout: Fail | None = None


class HeldClaims:
    """Claims by step id.

    ``size`` is the bytes of all payloads. No deadline is before ``first_deadline``.
    """

    def __init__(self) -> None:
        self.by_id: dict[str, Held] = {}
        self.size = 0
        self.first_deadline = math.inf

    def add(
        self, steps: Sequence[Step], claim_token: str, sizes: Sequence[int]
    ) -> list[tuple[str, str]]:
        """Hold these steps, whose payloads have these ``sizes`` in bytes.

        Returns the earlier claims of the same steps. They were lost, and the pod has claimed the
        steps again before a heartbeat could report the loss.
        """
        by_id = self.by_id
        lost = []
        for step, size in zip(steps, sizes, strict=True):
            step_id = step.step_id
            if step_id in by_id:
                lost.append((step_id, self.drop(step_id).claim_token))
            by_id[step_id] = Held(claim_token, step.attempt, size)
        self.size += sum(sizes)
        return lost

    def drop(self, step_id: str) -> Held:
        """Remove and return the claim of a step."""
        held = self.by_id.pop(step_id)
        self.size -= held.size
        return held

    def clear(self) -> None:
        """Remove all claims."""
        self.by_id.clear()
        self.size = 0

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The step id and claim token of every claim."""
        return tuple((step_id, held.claim_token) for step_id, held in self.by_id.items())

    def began(
        self, step_id: str, claim_token: str, timeout: float, now: float, on_timeout: Fail | None
    ) -> None:
        """A function that may run for ``timeout`` seconds has begun."""
        held = self.by_id.get(step_id)
        if held is not None and held.claim_token == claim_token:
            held.timeout = timeout
            held.deadline = now + timeout
            held.on_timeout = on_timeout
            self.first_deadline = min(self.first_deadline, held.deadline)

    def expired(self, now: float) -> list[tuple[str, Held]]:
        """The claims whose deadline has passed, with their step ids."""
        if now < self.first_deadline:
            return []
        expired = [(step_id, held) for step_id, held in self.by_id.items() if held.deadline <= now]
        self.first_deadline = min(
            (held.deadline for held in self.by_id.values() if held.deadline > now), default=math.inf
        )
        return expired
