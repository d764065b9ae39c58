"""Labels as people write them: ``NAME=TEXT``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from fleet_q.core.errors import InvalidInput

TRACEPARENT: Final = "traceparent"
"""The label that carries the trace context of a step's submission (W3C, *Trace Context*, section
3.2)."""


def parse_labels(texts: Iterable[str]) -> dict[str, str]:
    """The labels that texts like ``day=2026-11-28`` stand for. Raises :class:`InvalidInput`."""
    labels: dict[str, str] = {}
    for text in texts:
        name, is_assigned, value = text.partition("=")
        if not is_assigned:
            raise InvalidInput(f"label {text!r} has no '='; write NAME=TEXT")
        if name in labels:
            raise InvalidInput(f"label {name!r} is given twice; give each name once")
        labels[name] = value
    return labels
