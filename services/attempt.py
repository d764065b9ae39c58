"""One attempt at a step: call the function, and make an outcome of whatever comes of it."""

from __future__ import annotations

import traceback
from typing import Any, Final, Protocol

from fleet_q.core.errors import InvalidInput
from fleet_q.core.step import Complete, Fail, Outcome, Step
from fleet_q.core.submission import to_json
from fleet_q.services.context import PermanentFailure, StepContext, current

LONGEST_ERROR: Final = 2_000
LONGEST_TRACEBACK: Final = 20_000
"""Characters kept of an error and of its traceback; of a longer one the end is kept."""


class Failing(Protocol):
    """How an attempt's failure becomes an outcome; the pod machine's ``fail``."""

    def __call__(
        self,
        step_id: str,
        claim_token: str,
        attempt: int,
        error: str,
        traceback: str | None = None,
        *,
        permanent: bool = False,
    ) -> Fail: ...


class Attempt:
    """A step under one claim, with the context that its function sees."""

    __slots__ = ("_failing", "context", "step")

    def __init__(self, step: Step, failing: Failing) -> None:
        self.step = step
        self.context = StepContext(step.step_id, step.attempt)
        self._failing = failing

    def begin(self) -> None:
        """Make this the step that ``current_step()`` tells of, in the context that is current: a
        runner gives every attempt one of its own."""
        current.set(self.context)

    def succeeded(self, result: Any) -> Outcome:
        """The outcome of a function that returned ``result``."""
        try:
            return self.returned(to_json(result, "the result"))
        except InvalidInput as error:
            return self.failed(error, permanent=True)  # it did its work; again would be no better

    def returned(self, result: str) -> Outcome:
        """The outcome of a function whose result is this JSON text."""
        return Complete(self.step.step_id, self.claim_token, result)

    def failed(self, error: BaseException, *, permanent: bool = False) -> Outcome:
        """The outcome of a function that raised ``error``."""
        permanent = permanent or isinstance(error, PermanentFailure)
        return self.failed_with(*described(error), permanent=permanent)

    def failed_with(self, error: str, trace: str | None, *, permanent: bool = False) -> Outcome:
        """The outcome of an attempt that failed with this error."""
        step = self.step
        return self._failing(
            step.step_id, self.claim_token, step.attempt, error, trace, permanent=permanent
        )

    @property
    def claim_token(self) -> str:
        """The claim that it runs under."""
        assert self.step.claim_token is not None
        return self.step.claim_token


def described(error: BaseException) -> tuple[str, str]:
    """An error's type and message, and its traceback, as texts that any store can keep."""
    try:
        message = f"{type(error).__name__}: {error}".rstrip(": ")
    except Exception:
        message = type(error).__name__
    trace = "".join(traceback.format_exception(error))
    return _storable(message[:LONGEST_ERROR]), _storable(trace[-LONGEST_TRACEBACK:])


def _storable(text: str) -> str:
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
