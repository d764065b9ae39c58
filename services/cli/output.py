"""The output of the command line: tables for people, JSON for programs.

Values are printed whole, with control characters escaped.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Final

import msgspec
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from fleet_q.services.app.views import TIMES, EventView, StepView, in_iso
from fleet_q.services.worker.escapes import encodable, json_line, one_line, printable

MIN_CUT: Final = 8
"""The fewest cells that a shortened text gets."""

out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True)


@contextlib.contextmanager
def progress(
    what: str, total: int | None = None, *, between_lines: bool = False
) -> Iterator[Callable[[int], None]]:
    """Show on stderr, if that is a terminal, how many of ``total`` are done; the function yielded
    sets their number. A body that prints lines on stdout sets ``between_lines``."""
    shown = err.is_terminal and not (between_lines and out.is_terminal)  # lines break the bar
    with Progress(
        console=err,
        transient=True,
        redirect_stdout=False,  # Rich would write lines for stdout to the bar's terminal
        redirect_stderr=False,
        disable=not shown,
    ) as bar:
        task = bar.add_task("", total=total)

        def update(done: int) -> None:
            counted = f"{done}" if total is None else f"{done} of {total}"
            bar.update(task, completed=done, description=f"{counted} {what}")

        update(0)
        yield update


def say(text: str, style: str = "") -> None:
    """Print a line on stdout; never wrap it."""
    out.print(Text(one_line(text), style=style))


def tell(text: str) -> None:
    """Print a line on stderr; never wrap it."""
    err.print(Text(one_line(text)))


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout, escaped as far as the encoding of stdout requires."""
    try:
        encoded = msgspec.json.encode(value)
    except UnicodeEncodeError:  # for example a file's name that is not UTF-8
        value = _encodable(msgspec.to_builtins(value))
        encoded = msgspec.json.encode(value)
    text = json_line(msgspec.json.format(encoded, indent=2).decode())
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(value), indent=2)  # escapes all but ASCII
    sys.stdout.write(text + "\n")


def print_json_line(value: Any) -> None:
    """Print a value as JSON in one line of ASCII on stdout."""
    sys.stdout.write(json.dumps(msgspec.to_builtins(value)) + "\n")


def print_record(value: Any) -> None:
    """Print the fields of a dataclass or dict, one per line."""
    print_lines(record(value))


def record(value: Any) -> list[Text]:
    """Return the lines with the fields of a dataclass or dict."""
    if isinstance(value, StepView):
        value = in_iso(value)
    pairs = (
        [(field.name, getattr(value, field.name)) for field in fields(value)]
        if is_dataclass(value)
        else list(value.items())
    )
    return _fields([(name, _shown(value)) for name, value in pairs])


def print_view(value: Any, json: bool) -> None:
    """Print a value as JSON, or else its fields, one per line."""
    if json:
        print_json(value)
    else:
        print_record(value)


def print_table(
    rows: Sequence[Any], columns: Sequence[str], empty: str, *, cut: Sequence[str] = ()
) -> None:
    """Print the lines of :func:`table`."""
    print_lines(table(rows, columns, empty, cut=cut))


def table(
    rows: Sequence[Any], columns: Sequence[str], empty: str, *, cut: Sequence[str] = ()
) -> list[Text]:
    """Return the lines of a table of these fields of dataclasses or structs, or items of dicts, or
    ``empty`` if there are no rows.

    A table that is wider than the terminal becomes records instead, with every value whole,
    unless shortening the texts of the columns ``cut`` makes it fit.
    """
    if not rows:
        return [Text(one_line(empty))]
    values = [_values(row, columns) for row in rows]
    lines = [list(columns), *([one_line(_shown(value)) for value in row] for row in values)]
    widths = [max(map(cell_len, cells)) for cells in zip(*lines, strict=True)]
    room = terminal_width() - 2 * (len(widths) - 1)
    may_be_cut = [number for number, column in enumerate(columns) if column in cut]
    for number in may_be_cut:
        widths[number] = int(min(widths[number], max(room, MIN_CUT)))
    while sum(widths) > room and any(widths[number] > MIN_CUT for number in may_be_cut):
        widths[max(may_be_cut, key=lambda number: widths[number])] -= 1
    if sum(widths) > room:
        records = [_fields(list(zip(columns, map(_shown, row), strict=True))) for row in values]
        return [line for each in records for line in (*each, Text())][:-1]
    shown = []
    for number, cells in enumerate(lines):
        text = "".join(
            padded(shortened(cell, width), width + 2)
            for cell, width in zip(cells, widths, strict=True)
        )
        shown.append(Text(text.rstrip(), style="" if number else "bold"))
    return shown


def print_lines(lines: Sequence[Text]) -> None:
    """Print lines on stdout; never wrap them."""
    for line in lines:
        out.print(line)


def _values(row: Any, columns: Sequence[str]) -> list[Any]:
    if isinstance(row, dict):
        return [row[column] for column in columns]
    return [getattr(row, column) for column in columns]


def print_events(events: Sequence[EventView]) -> None:
    """Print each event as a line with its number, time, type and who did it, and below it its data,
    as far as it has any."""
    for event in events:
        head = [f"{event.version:<3}", _to_milliseconds(event.at), f"{event.type:<9}"]
        out.print(Text(one_line("  ".join([*head, event.by or ""]).rstrip()), style="bold"))
        data = {name: value for name, value in event.data.items() if value not in (None, "")}
        for name in TIMES & data.keys():
            data[name] = _to_milliseconds(data[name])
        if data:
            print_lines(_fields([(name, _shown(value)) for name, value in data.items()], "     "))


def to_seconds(time: str) -> str:
    """Return a time of an event without its fraction."""
    return f"{time.partition('.')[0].removesuffix('Z')}Z"


def _to_milliseconds(time: str) -> str:
    return f"{time.removesuffix('Z')[:-3]}Z"


def _fields(pairs: Sequence[tuple[str, str]], margin: str = "") -> list[Text]:
    """Return each field as ``name  value``, indented. A value too wide for that goes on a line of
    its own, which a terminal wraps but copies in one piece."""
    lines = []
    pairs = [(margin + one_line(name), value) for name, value in pairs]
    names = max(cell_len(name) for name, _ in pairs) + 2
    for name, value in pairs:
        first, *more = printable(value).split("\n")
        if max(map(cell_len, (first, *more))) + names <= terminal_width():
            text = Text(padded(name, names), style="bold").append(first, style="not bold")
            text.rstrip()
            lines.append(text)
            indent = " " * names
        else:
            lines.append(Text(f"{name}:", style="bold"))
            indent = f"{margin}  "
            lines.append(Text(indent + first if more else first))
        lines += [Text(indent + line) for line in more]  # indented, unlike a field's name
    return lines


def terminal_width() -> float:
    """Return the width of the terminal in cells; infinity if stdout is not a terminal."""
    return out.width if sys.stdout.isatty() else float("inf")


def shortened(text: str, width: int) -> str:
    """Return the text, shortened to ``width`` cells with an ellipsis if it has more."""
    return text if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"


def padded(text: str, width: int) -> str:
    """Return the text with blanks after it, so that it has ``width`` cells."""
    return text + " " * (width - cell_len(text))


def _shown(value: Any) -> str:
    """Format a value: ``None`` as a dash, structured data as JSON."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case str() | int() | float():
            return str(value)
        case _:
            return json_line(msgspec.json.encode(value).decode())


def _encodable(value: Any) -> Any:
    match value:
        case str():
            return encodable(value)
        case dict():
            return {_encodable(key): _encodable(item) for key, item in value.items()}
        case list() | tuple():
            return [_encodable(item) for item in value]
        case _:
            return value
