"""The exception that checks raise."""

from __future__ import annotations


class Violation(Exception):
    """A promise is broken. ``promise``: its name; ``subject``: the id of the step or pod concerned;
    ``how``: what happened to it."""

    def __init__(self, promise: str, subject: str, how: str) -> None:
        super().__init__(f"{promise}: {subject}: {how}")
        self.promise = promise
        self.subject = subject
        self.how = how
