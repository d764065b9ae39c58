"""What a doctor's look at a store finds, check by check."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import msgspec

from fleet_q.core.errors import FleetQError, StoreUnavailable

Verdict = Literal["ok", "warn", "fail", "skipped"]


class Finding(msgspec.Struct, frozen=True):
    """What one check found; ``mend`` is the statement or the command that mends it."""

    check: str
    verdict: Verdict
    says: str
    mend: str | None = None


class Diagnosis(msgspec.Struct, frozen=True):
    """A finding that does not know yet which check it is of."""

    verdict: Verdict
    says: str
    mend: str | None = None


class Check(msgspec.Struct, frozen=True):
    """One thing to look at, once those that it ``needs`` have not failed."""

    name: str
    look: Callable[[], Diagnosis]
    needs: tuple[str, ...] = ()


def ok(says: str) -> Diagnosis:
    """All is as it should be."""
    return Diagnosis("ok", says)


def warn(says: str, mend: str) -> Diagnosis:
    """It works, but not as well, or as cheaply, as it could."""
    return Diagnosis("warn", says, mend)


def fail(says: str, mend: str) -> Diagnosis:
    """A pod could not live with it."""
    return Diagnosis("fail", says, mend)


def examine(checks: Sequence[Check]) -> Iterator[Finding]:
    """Look at one thing after the other. A check that raises has failed."""
    root: dict[str, str] = {}
    """Of each check that failed or was skipped, the one that failed first."""
    for check in checks:
        cause = next((root[each] for each in check.needs if each in root), check.name)
        if cause != check.name:
            found = Diagnosis("skipped", f"cannot be told without {cause}")
        else:
            try:
                found = check.look()
            except StoreUnavailable as error:
                found = fail(str(error), "fleet-q doctor")  # it may have been in passing
            except FleetQError as error:
                found = Diagnosis("fail", str(error))
        if found.verdict in ("fail", "skipped"):
            root[check.name] = cause
        yield Finding(check.name, found.verdict, found.says, found.mend)
