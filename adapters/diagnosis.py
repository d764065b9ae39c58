"""The findings of ``fleet-q doctor``: checks that depend on each other, run in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import msgspec

from fleet_q.core.errors import FleetQError, StoreUnavailable

Verdict = Literal["ok", "warn", "fail", "skipped"]


class Finding(msgspec.Struct, frozen=True):
    """The result of one check. ``fix`` is a SQL statement or a shell command; ``None`` if nothing
    needs fixing or no fix is known."""

    check: str
    verdict: Verdict
    message: str
    fix: str | None = None


class Diagnosis(msgspec.Struct, frozen=True):
    """What a check returns: a :class:`Finding` without the check's name."""

    verdict: Verdict
    message: str
    fix: str | None = None


class Check(msgspec.Struct, frozen=True):
    """One check. It is skipped if a check named in ``needs`` failed or was skipped."""

    name: str
    run: Callable[[], Diagnosis]
    needs: tuple[str, ...] = ()


def ok(message: str) -> Diagnosis:
    """A diagnosis without a problem."""
    return Diagnosis("ok", message)


def warn(message: str, fix: str) -> Diagnosis:
    """A diagnosis of a problem that makes pods slower, less safe or more expensive, but does not
    stop them."""
    return Diagnosis("warn", message, fix)


def fail(message: str, fix: str) -> Diagnosis:
    """A diagnosis of a problem with which a pod cannot run."""
    return Diagnosis("fail", message, fix)


def examine(checks: Sequence[Check]) -> Iterator[Finding]:
    """Run the checks in order and yield their findings. A check that raises has failed."""
    root_causes: dict[str, str] = {}
    """For each check that failed or was skipped, the name of the check that failed first."""
    for check in checks:
        cause = next((root_causes[name] for name in check.needs if name in root_causes), check.name)
        if cause != check.name:
            diagnosis = Diagnosis("skipped", f"cannot be checked because {cause} failed")
        else:
            try:
                diagnosis = check.run()
            except StoreUnavailable as error:
                diagnosis = fail(str(error), "fleet-q doctor")  # the error may be temporary
            except FleetQError as error:
                diagnosis = Diagnosis("fail", str(error))
        if diagnosis.verdict in ("fail", "skipped"):
            root_causes[check.name] = cause
        yield Finding(check.name, diagnosis.verdict, diagnosis.message, diagnosis.fix)
