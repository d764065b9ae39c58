"""The results as a table on the terminal, as Markdown, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from tests.benchmarks.cases.case import Figure
from tests.benchmarks.goals import Verdict
from tests.benchmarks.results import Results
from tests.benchmarks.systems import OURS, SYSTEMS

WIDTH = 132
"""Columns of the table where the terminal does not say how many it has."""

Rows = list[list[str]]


def figures(results: Results) -> Rows:
    """A heading and a row for each figure: the value of every system, and FLEET-Q's ratios to the
    limit and to the best peer. A ``!`` marks values that :func:`remarks` explains."""
    names = [system.name for system in SYSTEMS if _was_measured(results, system.name)]
    rows = [["tasks a second", *names, "of the limit", "× best peer"]]
    for figure in results.figures:
        cells = [_cell(results, figure, name) for name in names]
        limit = results.ratio_to_limit(figure) if figure.is_rate else None
        peer = results.ratio_to_best_peer(figure) if figure.is_rate else None
        title = figure.title if figure.is_rate else f"{figure.title}, {figure.unit}"
        rows.append([title, *cells, _number(limit), _number(peer)])
    return rows


def goals(verdicts: Sequence[Verdict]) -> Rows:
    """A heading and a row for each goal."""
    words = {True: "reached", False: "not reached", None: "not measured"}
    rows = [["goal", "wanted", "measured", ""]]
    for verdict in verdicts:
        goal = verdict.goal
        rows.append([goal.what, goal.wanted, _number(verdict.value), words[verdict.reached]])
    return rows


def remarks(results: Results) -> list[str]:
    """What each system lacks, and its faults."""
    lines = [f"{s.name}: {s.lacks}" for s in SYSTEMS if s.lacks and _was_measured(results, s.name)]
    for system in SYSTEMS:
        by_fault: dict[str, list[str]] = {}
        for figure in results.figures:
            for fault in results.faults(figure, system.name):
                by_fault.setdefault(fault, []).append(figure.title)
        lines += [f"! {system.name}, {'; '.join(t)}: {fault}" for fault, t in by_fault.items()]
    return lines


def print_report(
    results: Results, verdicts: Sequence[Verdict], machine: dict[str, Any], to: Console
) -> None:
    """Print the figures, remarks and goals as tables."""
    to.print(_table(figures(results)))
    for remark in remarks(results):
        to.print(
            remark, style="red" if remark.startswith("!") else "dim", highlight=False, markup=False
        )
    to.print()
    table = _table(goals(verdicts))
    for row, verdict in zip(table.rows, verdicts, strict=True):
        row.style = {True: "green", False: "red", None: "dim"}[verdict.reached]
    to.print(table)
    to.print(_sentence(machine), style="dim", highlight=False)


def markdown(results: Results, verdicts: Sequence[Verdict], machine: dict[str, Any]) -> str:
    """The report as Markdown."""
    notes = "\n".join(f"- {remark}" for remark in remarks(results))
    parts = [_markdown(figures(results)), notes, _markdown(goals(verdicts)), _sentence(machine)]
    return "\n\n".join(part for part in parts if part) + "\n"


def json(results: Results, verdicts: Sequence[Verdict], machine: dict[str, Any]) -> bytes:
    """The report as JSON, with the values of every run."""
    measured = [
        {
            "figure": figure.title,
            "unit": figure.unit,
            "system": system.name,
            "value": results.value(figure, system.name),
            "runs": results.runs(figure, system.name),
            "faults": results.faults(figure, system.name),
        }
        for figure in results.figures
        for system in SYSTEMS
        if results.runs(figure, system.name) or results.faults(figure, system.name)
    ]
    judged = [
        {
            "goal": verdict.goal.what,
            "wanted": verdict.goal.wanted,
            "value": verdict.value,
            "reached": verdict.reached,
        }
        for verdict in verdicts
    ]
    report = {"machine": machine, "figures": measured, "goals": judged}
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def _was_measured(results: Results, name: str) -> bool:
    return any(results.runs(figure, name) for figure in results.figures)


def _cell(results: Results, figure: Figure, name: str) -> str:
    mark = "!" if results.faults(figure, name) else ""
    return _number(results.value(figure, name), whole=figure.is_rate) + mark


def _number(value: float | None, *, whole: bool = False) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if whole or value >= 100 else f"{value:.2f}"


def _table(rows: Rows) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, title in enumerate(rows[0]):
        ours = title == OURS
        table.add_column(title, justify="right" if index else "left", style="bold" if ours else "")
    for row in rows[1:]:
        table.add_row(*row)
    return table


def _markdown(rows: Rows) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    rule = "| --- |" + " ---: |" * (len(rows[0]) - 1)
    return "\n".join([lines[0], rule, *lines[1:]])


def _sentence(machine: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in machine.items())
