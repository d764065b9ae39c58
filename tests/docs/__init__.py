"""The documents: what is drawn in them, and read from them.

``python -m tests.docs`` draws the pictures of the lifecycles anew.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from fleet_q.core.lifecycle import EFFECTS, POD, STEP, Lifecycle

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"
ARCHITECTURE: Final = DOCS / "architecture.md"
EXAMPLES: Final = sorted((ROOT / "examples").glob("*/README.md"))
DOCUMENTS: Final = [
    ROOT / "README.md",
    ROOT / "deploy" / "README.md",
    *sorted(DOCS.glob("*.md")),
    ROOT / "examples" / "README.md",
    *EXAMPLES,
]


def _diagram(lifecycle: Lifecycle[Any]) -> str:
    return f"```mermaid\n{lifecycle.mermaid()}\n```"


def _effects() -> str:
    lines = ["| event | in | leads to | columns |", "| --- | --- | --- | --- |"]
    for event, effect in EFFECTS.items():
        columns = ", ".join(f"`{column}`: {how}" for column, how in effect.columns.items())
        sources = ", ".join(effect.sources)
        lines.append(f"| `{event}` | {sources} | {effect.status} | {columns} |")
    return "\n".join(lines)


PICTURES: Final[Mapping[str, str]] = {
    "step": _diagram(STEP),
    "effects": _effects(),
    "pod": _diagram(POD),
}
"""What belongs between the marks of each name."""

_DRAWN: Final = re.compile(
    r"(?<=<!-- drawn by python -m tests\.docs: )(\w+)( -->\n).*?(<!-- end -->)", re.DOTALL
)


def text_of(document: Path) -> str:
    """The text of a document."""
    return document.read_text(encoding="utf-8")


def drawn(text: str) -> str:
    """The text with every picture drawn anew. Raises :class:`KeyError` for one of no known name."""
    return _DRAWN.sub(lambda m: f"{m[1]}{m[2]}\n{PICTURES[m[1]]}\n\n{m[3]}", text)


def pictures_in(text: str) -> list[str]:
    """The names of the pictures that a text has a place for."""
    return [match[1] for match in _DRAWN.finditer(text)]


def first_cells(document: Path, heading: str) -> list[list[str]]:
    """The rows of the first table below a heading, without its head, as lists of cells."""
    _, _, below = text_of(document).partition(f"\n## {heading}\n")
    section = below.partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]
