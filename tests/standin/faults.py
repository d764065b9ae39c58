"""Faults on demand: which requests go wrong, and how."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

KINDS: Final = ("drop", "break", "reset", "status", "error", "hang")
"""``drop``: done, but the connection is closed without the answer. ``break``: done, and the
connection is closed in the middle of the answer. ``reset``: the connection is closed and nothing
done. ``status``: an HTTP status and nothing done. ``error``: one of Snowflake's errors and nothing
done. ``hang``: done, and never answered."""

ENDS_SESSION: Final = ("gone", "sign-in")
"""Errors after which the session is no more, and its transaction is rolled back."""


@dataclass
class Fault:
    """What is to go wrong.

    ``on`` is the kind of statement that it strikes (``select``, ``insert``, ``update``,
    ``commit``, ...), ``write`` for all that change a table, ``any``, or ``login``; ``matching``
    narrows it to texts in which a regular expression is found. It strikes every ``every``-th of
    those, after sparing the first ``spare``, ``times`` times (``None``: without end).

    A driver sends a request again that was not answered. ``is_retry`` of these repetitions of a
    struck request meet the same fate (``None``: all of them); the next is answered, unless
    ``then`` names an error.
    """

    kind: str
    on: str = "any"
    matching: str = ""
    every: int = 1
    spare: int = 0
    times: int | None = 1
    is_retry: int | None = 0
    then: str | None = None
    status: int = 503
    error: str = ""
    code: str = ""
    sqlstate: str | None = None
    message: str = ""
    met: int = field(default=0, init=False)
    struck: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is no fault; there are {', '.join(KINDS)}")

    def strikes(self, on: set[str], text: str) -> bool:
        """Count a request that may be struck, and say whether it is."""
        if self.on != "any" and self.on not in on:
            return False
        if self.times is not None and self.struck >= self.times:
            return False
        if self.matching and not re.search(self.matching, text, re.IGNORECASE):
            return False
        self.met += 1
        if self.met <= self.spare or (self.met - self.spare) % self.every:
            return False
        self.struck += 1
        return True


@dataclass
class _Struck:
    fault: Fault
    left: int | None


class Faults:
    """The faults of one schema."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._struck: dict[str, _Struck] = {}

    def add(self, description: dict[str, Any]) -> None:
        """One more fault; the keys are those of :class:`Fault`."""
        self._faults.append(Fault(**description))

    def clear(self) -> None:
        """No faults from now on."""
        self._faults.clear()
        self._struck.clear()

    def next(self, on: set[str], text: str, request_id: str, repeated: bool) -> Fault | None:
        """The fault that strikes this request, if any."""
        if repeated:
            return self._for_repetition(request_id)
        for fault in self._faults:
            if fault.strikes(on, text):
                self._struck[request_id] = _Struck(fault, fault.is_retry)
                return fault
        return None

    def _for_repetition(self, request_id: str) -> Fault | None:
        struck = self._struck.get(request_id)
        if struck is None:
            return None
        if struck.left is None:
            return struck.fault
        if struck.left > 0:
            struck.left -= 1
            return struck.fault
        if struck.fault.then is None:
            return None
        return Fault("error", error=struck.fault.then)
