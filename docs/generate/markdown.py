"""Pieces of Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_ROLE = re.compile(r":[a-z]+:`(~?)([^`]+)`")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, or nothing if it has no rows."""
    lines = ["| " + " | ".join(map(cell, row)) + " |" for row in rows]
    if not lines:
        return ""
    return "\n".join(["| " + " | ".join(head) + " |", "| --- " * len(head) + "|", *lines, ""])


def cell(text: str) -> str:
    """A text in one line of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def prose(docstring: str | None) -> str:
    """A docstring as Markdown: a reference such as :class:`~fleet_q.FleetQ` as ``FleetQ``."""
    return _ROLE.sub(lambda match: f"`{_shown(match[1], match[2])}`", docstring or "")


def _shown(tilde: str, name: str) -> str:
    is_long = bool(tilde) or name.startswith("fleet_q.")
    return name.rpartition(".")[2] if is_long else name


_MARKER = re.compile(r"(\d+\. |- )")


def indent_lists(markdown: str) -> str:
    """Lists as Python-Markdown reads them: what stands in an item is indented by four spaces, and a
    blank line ends a paragraph of an item before the next item."""
    width, has_paragraphs = 0, False
    lines: list[str] = []
    for line in markdown.splitlines():
        if match := _MARKER.match(line):
            has_paragraphs = has_paragraphs and width > 0
            if has_paragraphs and lines[-1]:
                lines.append("")
            width = len(match[1])
        elif line and not line.startswith(" "):
            width = 0
        elif width and line.startswith(" " * width):
            line = " " * 4 + line[width:]
            has_paragraphs = has_paragraphs or not lines[-1]
        lines.append(line)
    return "\n".join(lines) + "\n"
