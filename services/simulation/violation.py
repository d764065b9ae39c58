"""What a check raises."""

from __future__ import annotations


class Violation(Exception):
    """A promise was broken: by name, the step or pod that it was broken to, and how."""

    def __init__(self, promise: str, subject: str, how: str) -> None:
        super().__init__(f"{promise}: {subject}: {how}")
        self.promise = promise
        self.subject = subject
        self.how = how
