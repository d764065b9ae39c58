"""Labels as people write them: ``NAME=TEXT``."""

from __future__ import annotations

from collections.abc import Iterable

from fleet_q.core.errors import InvalidInput


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
