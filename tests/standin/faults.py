"""Faults on demand: which requests go wrong, and how."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from typing import Any, Final

from . import errors
from .errors import SnowflakeError
from .names import short

KINDS: Final = ("drop", "break", "reset", "status", "error", "hang", "lock", "reject", "deadlock",
                "outdated", "stale")  # fmt: skip
"""Faults of requests. ``drop``: run, but the connection is closed without the answer. ``break``:
run, and the connection is closed in the middle of the answer. ``reset``: the connection is closed,
nothing is run. ``status``: an HTTP status, nothing is run. ``error``: one of Snowflake's errors;
nothing is run, unless it ``is_late``. ``hang``: run, and never answered.

Faults of statements, also of those in procedures, where ``error`` can strike too. ``lock``: it
waits for the lock of its table, although it is an INSERT. ``reject``: too many statements wait for
the lock of its table: more than ``limit``. ``deadlock``: it is the victim of one. ``outdated``: an
UPDATE that waited for its lock takes the rows of its FROM as they were before; Snowflake's
documentation does not say what it reads. ``stale``: it does not see the last commit of another
session to ``table``."""

_OF_STATEMENTS: Final = ("lock", "reject", "deadlock", "outdated")

ENDS_SESSION: Final = ("gone", "sign-in")
"""Errors that end the session and roll its transaction back."""


@dataclass
class Fault:
    """What is to go wrong.

    ``on`` is the kind of statement that it strikes (``select``, ``insert``, ``update``,
    ``commit``, ...), ``write`` for all that change a table, ``any``, or ``login``. ``matching``
    limits it to texts in which this regular expression is found. It spares the first ``spare`` of
    them, then strikes every ``every``-th, or the ``share`` of them that is drawn from ``seed``,
    ``times`` times (``None``: without end).

    A driver repeats a request that was not answered. The first ``repetitions`` of a struck request
    meet the same fault (``None``: all of them); the next is answered, unless ``then`` names an
    error.
    """

    kind: str
    on: str = "any"
    matching: str = ""
    every: int = 1
    spare: int = 0
    times: int | None = 1
    repetitions: int | None = 0
    then: str | None = None
    status: int = 503
    error: str = ""
    code: str = ""
    sqlstate: str | None = None
    message: str = ""
    is_late: bool = False
    """Whether the statement is run before its error is reported."""
    limit: int = 20
    table: str = ""
    """The table of stale reads; empty: any."""
    share: float = 1.0
    seed: int = 0
    met: int = field(default=0, init=False)
    struck: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is no fault; there are {', '.join(KINDS)}")
        self._random = random.Random(self.seed)

    @property
    def lets_run(self) -> bool:
        """Whether the statement is run all the same."""
        return self.is_late or self.kind in ("drop", "break", "hang")

    def as_error(self) -> SnowflakeError:
        """The error of a fault of kind ``error``."""
        if self.error:
            return errors.NAMED[self.error]()
        return SnowflakeError(self.code, self.message, self.sqlstate)

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
        if self.share < 1.0 and self._random.random() >= self.share:
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
        """Add a fault; the keys are those of :class:`Fault`."""
        self._faults.append(Fault(**description))

    def clear(self) -> None:
        """Remove all faults. A request that hangs still gets no answer."""
        self._faults.clear()
        self._struck.clear()

    def next(self, on: set[str], text: str, request_id: str, repeated: bool) -> Fault | None:
        """The fault that strikes this request, if any."""
        if repeated:
            return self._for_repetition(request_id)
        for fault in self._faults:
            if fault.kind in (*_OF_STATEMENTS, "stale"):
                continue
            if fault.strikes(on, text):
                self._struck[request_id] = _Struck(fault, fault.repetitions)
                return fault
        return None

    @property
    def has_stale_reads(self) -> bool:
        """Whether reads may be stale."""
        return any(fault.kind == "stale" for fault in self._faults)

    def makes_stale(self, table: str, text: str) -> bool:
        """Whether this read of a table, by its full name, is stale."""
        return any(
            fault.kind == "stale"
            and (not fault.table or fault.table.upper() == short(table))
            and fault.strikes({"select", "insert"}, text)
            for fault in self._faults
        )

    def of_statement(self, on: set[str], text: str) -> Fault | None:
        """The fault that strikes the locks of this statement, if any."""
        for fault in self._faults:
            if fault.kind in _OF_STATEMENTS and fault.strikes(on, text):
                return fault
        return None

    def inside(self, on: set[str], text: str) -> Fault | None:
        """The fault that strikes this statement of a procedure, if any. Only errors can, and only
        those that are not about the session: the driver would repeat the call for ever, whose
        answer is remembered."""
        for fault in self._faults:
            is_possible = fault.kind == "error" and fault.error not in (*ENDS_SESSION, "expired")
            if is_possible and fault.strikes(on, text):
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
