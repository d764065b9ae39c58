"""The steps of a round: their kinds, and how each must end."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from fleet_q.core.lifecycle import StepStatus
from fleet_q.core.step import Submit
from tests.crash import tasks

PATIENT: Final = 1_000
"""Retries of a step that must complete although its pods are killed."""

_FAILING: Final = {"doomed": 2, "refused": PATIENT, "poison": 1}
"""The kinds of steps that never complete, with their retries."""


@dataclass(frozen=True)
class Work:
    """A step that the client submits."""

    number: int
    kind: str

    @property
    def step_id(self) -> str:
        return f"step-{self.number:04}"

    @property
    def command(self) -> Submit:
        """The command that submits it."""
        return Submit(
            self.step_id,
            json.dumps({"task_type": self.kind, "number": self.number}),
            priority=self.number % 3,
            max_retries=_FAILING.get(self.kind, PATIENT),
            task_type=self.kind,
        )

    @property
    def end(self) -> StepStatus:
        """Its final status, if nobody cancels it."""
        return "failed" if self.kind in _FAILING else "completed"

    @property
    def result(self) -> Any:
        """What its function returns."""
        match self.kind:
            case "bulky":
                return f"{self.number} " + "x" * tasks.BULK
            case "heavy":
                return sum(range(tasks.SUM_TO)) + self.number
        return self.number
