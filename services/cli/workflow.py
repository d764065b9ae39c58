"""The commands ``fleet-q workflow``: show, await, cancel and retry the steps of a workflow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Final

import typer
from rich.cells import cell_len
from rich.text import Text

from fleet_q.core.errors import WorkflowNotCompleted
from fleet_q.core.retry import MICROS
from fleet_q.core.workflows import Omitted, TreeStep, WorkflowState, shortened
from fleet_q.services.app.workflows import WorkflowView, in_words
from fleet_q.services.cli import completion
from fleet_q.services.cli.options import (
    AppOption,
    JsonOption,
    StoreOption,
    TimeoutOption,
    VerboseOption,
    WatchOption,
    client,
)
from fleet_q.services.cli.output import (
    padded,
    print_json,
    print_lines,
    progress,
    say,
    terminal_width,
)
from fleet_q.services.cli.output import (
    shortened as cut,
)
from fleet_q.services.cli.signals import ending_between_transactions
from fleet_q.services.cli.watch import watch as watch_until_ctrl_c
from fleet_q.services.worker.escapes import one_line

workflow_commands = typer.Typer(
    help="Show a workflow, wait for it, cancel it, or retry what failed.", no_args_is_help=True
)

WorkflowId = Annotated[
    str,
    typer.Argument(metavar="ID", help="the workflow's id", autocompletion=completion.workflows),
]

MOST_SHOWN: Final = 50
"""The most steps that are shown unless the user asks for more."""

MOST_INDENTED: Final = 8
"""The deepest level that is indented more than the one above it."""

WIDTH: Final = 80
"""The columns that a tree takes if stdout is no terminal."""

LEAST_NOTE: Final = 16
"""The fewest columns in which the other parents of a step are shown."""


@workflow_commands.command("show")
def show_workflow(
    workflow_id: WorkflowId,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="COUNT", help=f"show so many steps; else {MOST_SHOWN}, with --json all", min=1
        ),
    ] = None,
    watch: WatchOption = False,
    store: StoreOption = None,
    app: AppOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Show a workflow: its steps as a tree, how long they waited and ran, and what took longest.

    With --watch, until it has ended.
    """
    fleet = client(store, app)
    most = limit or MOST_SHOWN

    def read() -> WorkflowState:
        return fleet.workflows.state(workflow_id)

    if watch and json:
        watch_until_ctrl_c(
            fleet,
            lambda: WorkflowView.of(workflow_id, read(), limit),
            lambda view, _: [],
            json=True,
            is_over=lambda view: view.status != "running",
        )
    elif watch:
        watch_until_ctrl_c(
            fleet,
            read,
            lambda state, elapsed: _lines(workflow_id, state, most),
            json=False,
            is_over=lambda state: state.status != "running",
        )
    elif json:
        print_json(WorkflowView.of(workflow_id, read(), limit))
    else:
        print_lines(_lines(workflow_id, read(), most))


@workflow_commands.command("wait")
def wait_for_workflow(
    workflow_id: WorkflowId,
    timeout: TimeoutOption = None,
    store: StoreOption = None,
    app: AppOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Wait until all steps of a workflow are final and show it. Fails unless all are completed."""
    workflows = client(store, app).workflows
    workflows.wait(workflow_id, timeout)
    state = workflows.state(workflow_id)
    if json:
        print_json(WorkflowView.of(workflow_id, state, None))
    else:
        print_lines(_lines(workflow_id, state, MOST_SHOWN))
    if state.status != "completed":
        raise WorkflowNotCompleted(workflow_id, state.status, in_words(state.counts))


@workflow_commands.command("cancel")
def cancel_workflow(
    workflow_id: WorkflowId, store: StoreOption = None, app: AppOption = None,
    json: JsonOption = False, verbose: VerboseOption = False,
) -> None:  # fmt: skip
    """Cancel all steps of a workflow that are not final."""
    workflows = client(store, app).workflows
    _change(lambda on_batch: workflows.cancel(workflow_id, on_batch), "cancelled", json)


@workflow_commands.command("retry")
def retry_workflow(
    workflow_id: WorkflowId,
    cancelled: Annotated[
        bool, typer.Option("--cancelled", help="also the steps that a user cancelled")
    ] = False,
    store: StoreOption = None,
    app: AppOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Replay the steps of a workflow that failed.

    Steps that were cancelled because of them wait again.
    """
    workflows = client(store, app).workflows
    _change(
        lambda on_batch: workflows.retry(workflow_id, cancelled=cancelled, on_batch=on_batch),
        "replayed",
        json,
    )


def _change(change: Callable[[Callable[[int], object]], int], participle: str, json: bool) -> None:
    """Change steps batch by batch, and say how many changed, also if it was interrupted."""
    changed = 0
    try:
        with (
            ending_between_transactions() as check_signals,
            progress(f"steps {participle}") as update,
        ):

            def on_batch(count: int) -> None:
                nonlocal changed
                changed += count
                update(changed)
                check_signals()

            change(on_batch)
    except BaseException:
        if changed:
            _say_changed(changed, participle, json)
        raise
    _say_changed(changed, participle, json)


def _say_changed(changed: int, participle: str, json: bool) -> None:
    if json:
        print_json({"steps": changed})
    else:
        say(f"{participle} 1 step" if changed == 1 else f"{participle} {changed} steps")


def _lines(workflow_id: str, state: WorkflowState, most: int) -> list[Text]:
    is_running = state.status == "running"
    verb = "has been running for" if is_running else f"{state.status} in"
    lines = [
        (f"workflow {workflow_id} {verb} {duration(state.took)}", ""),
        (in_words(state.counts), ""),
        ("", ""),
        *tree_lines(state, most, int(min(terminal_width(), WIDTH))),
    ]
    path = [each for each in state.steps if each.step_id in set(state.critical_path)]
    if path:
        waited = sum(each.waited(state.at) or 0 for each in path)
        ran = sum(each.ran(state.at) or 0 for each in path)
        steps = "1 step" if len(path) == 1 else f"{len(path)} steps"
        text = f"* critical path: {steps}, waited {duration(waited)}, ran {duration(ran)}"
        lines += [("", ""), (text, "")]
    return [Text(one_line(text), style) for text, style in lines]


def tree_lines(state: WorkflowState, most: int, width: int) -> Iterable[tuple[str, str]]:
    """The lines of the tree of a workflow, up to ``width`` cells wide, each with its style."""
    is_critical = set(state.critical_path)
    name_of = {each.step_id: each.step.task_type or each.step_id for each in state.steps}
    rows: list[tuple[str, list[str], TreeStep | Omitted]] = []
    for line in shortened(state.tree, state.critical_path, most):
        indent = "  " * min(line.depth, MOST_INDENTED)
        if isinstance(line, Omitted):
            number = sum(line.counts.values())
            rows.append((f"  {indent}… {number} more: {in_words(line.counts)}", [], line))
            continue
        step = line.timed.step
        mark = "* " if step.step_id in is_critical else "  "
        label = one_line(f"{mark}{indent}{name_of[step.step_id]}")
        attempt = step.retry_count + 1
        status = step.status if attempt == 1 else f"{step.status} ({attempt})"
        waited, ran = line.timed.waited(state.at), line.timed.ran(state.at)
        rows.append((label, [status, *map(_or_dash, (waited, ran))], line))
    head = ["status", "waited", "ran"]
    widths = [
        max(map(len, cells))
        for cells in zip(head, *(cells for _, cells, _ in rows if cells), strict=True)
    ]
    room = width - sum(widths) - 2 * len(widths)
    first = min(room, max(cell_len(label) for label, cells, _ in rows if cells))
    note = room - first - 2

    def joined(label: str, cells: list[str], last: str) -> str:
        columns = [padded(cut(label, first), first)]
        columns += [padded(cell, of) for cell, of in zip(cells, widths, strict=True)]
        return "  ".join([*columns, last]).rstrip()

    yield joined("  step", head, "also after" if note >= LEAST_NOTE else ""), "bold"
    for label, cells, line in rows:
        if isinstance(line, Omitted):
            yield cut(label, width), "dim"
            continue
        others = _others(line, name_of) if note >= LEAST_NOTE else ""
        yield joined(label, cells, cut(one_line(others), note)), ""
        step = line.timed.step
        if step.status == "failed":
            indent = " " * (4 + 2 * min(line.depth, MOST_INDENTED))
            error = next(iter((step.error or "").splitlines()), "")
            yield cut(one_line(f"{indent}{step.step_id}: {error}"), width), "red"


def _others(line: TreeStep, name_of: dict[str, str]) -> str:
    """The parents under which a step does not stand, by name: ``check, transform (8)``."""
    numbers: dict[str, int] = {}
    for parent_id in line.others:
        name = name_of[parent_id]
        numbers[name] = numbers.get(name, 0) + 1
    return ", ".join(name if n == 1 else f"{name} ({n})" for name, n in numbers.items())


def _or_dash(micros: int | None) -> str:
    return "-" if micros is None else duration(micros)


def duration(micros: int) -> str:
    """Microseconds in one unit or two: ``0.3s``, ``45s``, ``12m 5s``, ``3h 20m``, ``2d 4h``."""
    seconds = micros / MICROS
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole}s"
    if whole < 7_200:
        return f"{whole // 60}m {whole % 60}s"
    if whole < 172_800:
        return f"{whole // 3_600}h {whole % 3_600 // 60}m"
    return f"{whole // 86_400}d {whole % 86_400 // 3_600}h"
