"""Renders the templates of the dashboard, and formats what they show."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import jinja2

from fleet_q.core.retry import MICROS

HERE: Final = Path(__file__).parent
_STATIC: Final = HERE / "static"

_UNITS: Final = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s"))


def iso(micros: int) -> str:
    """Microseconds since 1970 as ``2026-01-17T12:34:56Z``."""
    return datetime.fromtimestamp(micros // MICROS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def when(moment: int | str) -> str:
    """A time in UTC, of microseconds since 1970 or of a view: ``2026-01-17 12:34:56``."""
    if isinstance(moment, str):
        return moment[:19].replace("T", " ")
    return datetime.fromtimestamp(moment // MICROS, UTC).strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: float | None) -> str:
    """A length of time with two units at most: ``820 ms``, ``4.2 s``, ``3 min 20 s``."""
    if seconds is None:
        return "–"
    seconds = max(0.0, seconds)
    if seconds < 0.9995:
        return f"{seconds * 1_000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    whole = round(seconds)
    for unit, name, smaller, smaller_name in _UNITS:
        if whole >= unit:
            rest = whole % unit // smaller
            return (
                f"{whole // unit} {name} {rest} {smaller_name}"
                if rest
                else f"{whole // unit} {name}"
            )
    return f"{whole} s"


def count(number: float | None) -> str:
    """A number with thin spaces between groups of three digits."""
    return "–" if number is None else f"{number:,.0f}".replace(",", "\u202f")


def pretty(value: Any) -> str:
    """A JSON value over several lines."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


def compact(value: Any) -> str:
    """A JSON value on one line."""
    return json.dumps(value, ensure_ascii=False, default=str)


def anchor(text: str) -> str:
    """An id of an element, made of any text."""
    plain = re.sub("[^A-Za-z0-9]+", "-", text)[:40]
    return f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


@cache
def static_file(name: str) -> tuple[bytes, str] | None:
    """The contents and the fingerprint of a static file; ``None`` if there is none."""
    path = _STATIC / name
    if "/" in name or not path.is_file():
        return None
    content = path.read_bytes()
    return content, hashlib.sha256(content).hexdigest()[:12]


def _fingerprint(name: str) -> str:
    file = static_file(name)
    assert file is not None, name
    return file[1]


environment: Final = jinja2.Environment(
    loader=jinja2.FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
environment.filters |= {
    "iso": iso,
    "when": when,
    "duration": duration,
    "count": count,
    "pretty": pretty,
    "compact": compact,
    "anchor": anchor,
}
environment.globals["fingerprint"] = _fingerprint
