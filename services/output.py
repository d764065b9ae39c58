"""How the command line shows things: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)


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


def print_table(rows: Sequence[Any], columns: Sequence[str], empty: str) -> None:
    """Print these fields of dataclasses as a table, or ``empty`` if there are no rows."""
    if not rows:
        out.print(empty)
        return
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(cell(getattr(row, column)) for column in columns))
    out.print(table)


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
