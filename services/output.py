"""How the command line shows things: tables for people, JSON for programs."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)

_wide = Console(soft_wrap=True, width=100_000)  # whose tables are as wide as they need to be

_SHORTEST: Final = 20
_LONGEST: Final = 200
"""Characters that are left at least, and without a terminal, of a value that is cut."""


@contextlib.contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show on a terminal's stderr how much of a long work is done; the function given is told of
    each part."""
    shown = err.is_terminal and not out.is_terminal  # or stdout's lines would tear it
    with Progress(console=err, transient=True, disable=not shown) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)


def print_json(value: Any) -> None:
    """Print anything of this package as JSON on stdout, whatever encoding that has."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(value), indent=2)  # which escapes what is not ASCII
    sys.stdout.write(text + "\n")


def print_record(value: Any) -> None:
    """Print a dataclass, or a dict, as a table of its fields."""
    pairs = (
        [(field.name, getattr(value, field.name)) for field in fields(value)]
        if is_dataclass(value)
        else list(value.items())
    )
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, each in pairs:
        table.add_row(Text(name, style="bold"), cell(each))
    out.print(table)


def print_table(
    rows: Sequence[Any], columns: Sequence[str], empty: str, cut: Sequence[str] = ()
) -> None:
    """Print these fields of dataclasses as a table, a line each, or ``empty`` without rows.

    The columns ``cut`` give way if a line would be longer than the terminal's; ids never do, so
    that they can be copied.
    """
    if not rows:
        out.print(empty)
        return
    table = Table(box=None, pad_edge=False)
    shown = {column: [cell(getattr(row, column)) for row in rows] for column in columns}
    rest = [column for column in columns if column not in cut]
    taken = sum(2 + max(text.cell_len for text in [Text(c), *shown[c]]) for c in rest)
    for column, cells in shown.items():
        table.add_column(column, no_wrap=True)
        if column in cut:
            left = (out.width - taken) // len(cut) - 2 if out.is_terminal else _LONGEST
            for text in cells:
                text.plain = text.plain.replace("\n", " ")
                text.truncate(max(left, _SHORTEST), overflow="ellipsis")
    for line in zip(*shown.values(), strict=True):
        table.add_row(*line)
    _wide.print(table)


def cell(value: Any) -> Text:
    """A value as a cell: data as JSON, nothing as a dash, and never as markup."""
    match value:
        case None:
            return Text("-", style="dim")
        case bool():
            return Text("yes" if value else "no")
        case str() | int() | float():
            return Text(str(value))
        case _:
            return Text(msgspec.json.encode(value).decode())
