"""What a probe expects of Snowflake, and what it found."""

from __future__ import annotations

from typing import Literal

import msgspec

from fleet_q.adapters.snowflake.errors import Failure, is_temporary, one_line, translated
from fleet_q.core.errors import UnknownStoreError

Verdict = Literal["ok", "differs", "fail", "not tried"]
"""``differs``: not as expected, and FLEET-Q can live with it; ``fail``: it cannot."""


class Found(msgspec.Struct, frozen=True):
    """What a probe found."""

    verdict: Verdict
    text: str


class ProbeResult(msgspec.Struct, frozen=True):
    """The result of one probe. ``why`` says what of FLEET-Q depends on it."""

    probe: str
    verdict: Verdict
    expected: str
    found: str
    why: str


def ok(text: str) -> Found:
    """Snowflake does what is expected."""
    return Found("ok", text)


def differs(text: str) -> Found:
    """Snowflake does something else, with which FLEET-Q can live."""
    return Found("differs", text)


def fail(text: str) -> Found:
    """Snowflake does something with which FLEET-Q cannot live."""
    return Found("fail", text)


def not_tried(reason: str) -> Found:
    """The probe could not find out, or was not asked to."""
    return Found("not tried", reason)


def judge(error: Failure) -> Found:
    """The finding for an error that a pod has to retry."""
    text = described(error)
    if not is_temporary(error):
        return fail(f"{text}; FLEET-Q takes it for fatal, so pods would stop")
    if isinstance(translated(error), UnknownStoreError):
        return differs(f"{text}; FLEET-Q does not know it, but tries again")
    return ok(text)


def described(error: Failure) -> str:
    """An error in one line, with its number."""
    number = f"{error.errno:06}: " if error.errno else ""
    return number + one_line(error).removeprefix("Snowflake: ").removeprefix(number)
