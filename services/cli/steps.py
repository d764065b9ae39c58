"""The commands ``fleet-q steps``: list steps, and change those that a filter selects."""

from __future__ import annotations

import inspect
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial, wraps
from math import inf
from typing import Annotated, Any, Final

import typer
from rich.text import Text

from fleet_q.core.errors import InvalidInput
from fleet_q.services.app.app import FleetQ
from fleet_q.services.app.labels import parse_labels
from fleet_q.services.app.moments import age_since, parse_moment
from fleet_q.services.app.search import LONGEST_LIST, OnBatch, StepRow, StepsView
from fleet_q.services.app.views import StepView
from fleet_q.services.cli import completion, output
from fleet_q.services.cli.options import (
    AppOption,
    JsonOption,
    StoreOption,
    VerboseOption,
    WatchOption,
    client,
)
from fleet_q.services.cli.output import (
    print_json,
    print_lines,
    print_table,
    progress,
    say,
    table,
    tell,
)
from fleet_q.services.cli.signals import ending_between_transactions
from fleet_q.services.cli.watch import watch as watch_until_ctrl_c
from fleet_q.services.worker.escapes import one_line

steps_commands = typer.Typer(
    help="List steps, and cancel, replay or reprioritize those that are selected.",
    no_args_is_help=True,
)

Several = list[str] | None

_CONDITIONS: Final[dict[str, Any]] = {
    "status": Annotated[Several, typer.Option(metavar="STATUS", help="may be repeated",
                                              autocompletion=completion.statuses)],
    "type": Annotated[Several, typer.Option(metavar="TYPE", help="may be repeated",
                                            autocompletion=completion.task_types)],
    "queue": Annotated[Several, typer.Option(metavar="NAME", help="may be repeated",
                                             autocompletion=completion.queues)],
    "key": Annotated[Several, typer.Option(metavar="KEY", help="may be repeated")],
    "label": Annotated[Several, typer.Option(metavar="NAME=TEXT", help="all that are given")],
    "pod": Annotated[str | None, typer.Option(metavar="POD_ID", help="holds it, or held it last",
                                              autocompletion=completion.pods)],
    "workflow": Annotated[str | None, typer.Option(metavar="ID", help="belongs to this workflow",
                                                   autocompletion=completion.workflows)],
    "prefix": Annotated[str | None, typer.Option(metavar="TEXT", help="how the id begins")],
    "since": Annotated[str | None, typer.Option(metavar="TIME", help="submitted since: 2h, or a"
                                                " time like 2026-11-28T14:00Z")],
    "until": Annotated[str | None, typer.Option(metavar="TIME", help="submitted before")],
}  # fmt: skip
"""The options that select steps."""

_SHARED: Final[dict[str, Any]] = {
    "store": StoreOption,
    "app": AppOption,
    "json": JsonOption,
    "verbose": VerboseOption,
}
_CHANGING: Final[dict[str, Any]] = {
    "yes": Annotated[bool, typer.Option("--yes", "-y", help="do not ask")],
    "dry_run": Annotated[bool, typer.Option("--dry-run", help="count them, and change nothing")],
}
_FLAGS: Final = {"json", "verbose", *_CHANGING}


@dataclass(frozen=True)
class _Selected:
    """The app and the steps that the options of a command select: ``conditions`` as the methods of
    the app take them."""

    fleet: FleetQ
    conditions: dict[str, Any]
    json: bool
    yes: bool = False
    dry_run: bool = False


def _selecting(**more: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options that select steps, ``more`` after its own, and those of all
    commands. What they select is its first argument."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def selecting(store: str | None, app: str | None, verbose: bool, **options: Any) -> None:
            conditions = _conditions({name: options.pop(name) for name in _CONDITIONS})
            given = {name: options.pop(name) for name in ("json", *more)}
            command(_Selected(client(store, app), conditions, **given), **options)

        _, *own = inspect.signature(command, eval_str=True).parameters.values()
        parameters = [
            *_parameters(_CONDITIONS),
            *(parameter.replace(kind=parameter.KEYWORD_ONLY) for parameter in own),
            *_parameters({**more, **_SHARED}),
        ]
        selecting.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        selecting.__annotations__ = {each.name: each.annotation for each in parameters}
        return selecting

    return decorate


def _parameters(options: dict[str, Any]) -> Iterator[inspect.Parameter]:
    for name, option in options.items():
        default = False if name in _FLAGS else None
        yield inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=option
        )


def _conditions(given: dict[str, Any]) -> dict[str, Any]:
    names = {"type": "task_type", "pod": "pod_id", "workflow": "workflow_id", "prefix": "id_prefix"}
    conditions = {names.get(name, name): value for name, value in given.items() if value}
    if "label" in conditions:
        conditions["labels"] = parse_labels(conditions.pop("label"))
    for name in ("since", "until"):
        if name in conditions:
            conditions[name] = parse_moment(conditions[name])
    return conditions


@steps_commands.command("list")
@_selecting()
def list_steps(
    selected: _Selected,
    limit: Annotated[
        int, typer.Option(metavar="COUNT", help="how many", min=1, max=LONGEST_LIST)
    ] = 50,
    cursor: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="the 'cursor' of the previous page")
    ] = None,
    watch: WatchOption = False,
) -> None:
    """List steps, the latest submission first."""
    fleet, json = selected.fleet, selected.json
    read = partial(fleet.steps, limit=limit, cursor=cursor, **selected.conditions)
    if watch:
        watch_until_ctrl_c(fleet, read, lambda page, _: _lines(page), json=json)
    elif json:
        print_json(read())
    else:
        print_lines(_lines(read()))


def _lines(page: StepsView) -> list[Text]:
    now = datetime.now(UTC)
    has_texts = any(_text_of(row) for row in page.steps)
    columns = (*_COLUMNS, "progress or error" if has_texts else "error")
    rows = [dict(zip(columns, _cells(row, now), strict=True)) for row in page.steps]
    lines = table(rows, columns, "no such steps", cut=("type", columns[-1]))
    if page.cursor is not None:
        lines += [Text(), Text(one_line(f"more: add --cursor {shlex.quote(page.cursor)}"))]
    return lines


@steps_commands.command("cancel")
@_selecting(**_CHANGING)
def cancel_steps(selected: _Selected) -> None:
    """Cancel the selected steps that have not ended."""
    _change(selected, selected.fleet.cancel_steps, "cancel", "cancelled")


@steps_commands.command("replay")
@_selecting(**_CHANGING)
def replay_steps(selected: _Selected) -> None:
    """Replay the selected dead letters or, with --status cancelled, cancelled steps.

    They become pending again, with all their tries.
    """
    _change(selected, selected.fleet.replay_steps, "replay", "replayed", _NOT_REPLAYED)


@steps_commands.command("set-priority")
@_selecting(**_CHANGING)
def set_priority(
    selected: _Selected,
    priority: Annotated[int, typer.Option(metavar="NUMBER", help="higher is claimed first")],
) -> None:
    """Set the priority of the selected steps that are pending."""
    change = partial(selected.fleet.reprioritize_steps, priority)
    _change(selected, change, "reprioritize", "reprioritized")


_COLUMNS: Final = ("step_id", "status", "type", "for")


def _cells(row: StepRow, now: datetime) -> list[str | None]:
    """A step as a line of a table."""
    since = age_since(row.last_update_ts, now)
    return [row.step_id, _status(row), row.task_type, since, _text_of(row) or row.error]


def print_dead_letters(steps: Sequence[StepView]) -> None:
    """Print dead letters as a table; in a terminal, which it may not fit, without payloads."""
    now = datetime.now(UTC)
    lines = [
        {
            "step_id": step.step_id,
            "type": step.task_type,
            "for": age_since(step.last_update_ts, now),
            "error": step.error,
            "payload": step.payload,
        }
        for step in steps
    ]
    columns: tuple[str, ...] = ("step_id", "type", "for", "error", "payload")
    if output.terminal_width() < inf:
        columns = columns[:-1]
    print_table(lines, columns, "no step has failed for good", cut=("type", "error"))


def _text_of(row: StepRow) -> str | None:
    """What the function of a claimed step says that it does."""
    if row.status != "claimed" or row.progress is None:
        return None
    text: str | None = row.progress["text"]
    return text


def _status(row: StepRow) -> str:
    """The status, with the number of the attempt, unless that is the first, how often the step was
    put off, and how far it is."""
    parts: list[str] = [row.status]
    if row.attempt > 1:
        parts.append(f"({row.attempt})")
    if row.snoozes:
        parts.append(f"(snoozed {row.snoozes})")
    is_running = row.status == "claimed"
    if is_running and row.progress is not None and row.progress["fraction"] is not None:
        parts.append(f"{row.progress['fraction']:.0%}")
    return " ".join(parts)


_NOT_REPLAYED: Final = (
    ", because a parent failed or was cancelled that is not replayed with them:"
    " 'fleet-q dlq replay STEP_ID' names it"
)
"""The usual reason of steps that are selected and are not replayed."""


def _change(
    selected: _Selected,
    change: Callable[..., int],
    verb: str,
    participle: str,
    why: str = ": they have changed meanwhile",
) -> None:
    """Count the selected steps, ask, and change them batch by batch. ``why``: the reason why some
    of them are not changed."""
    conditions, dry_run, json = selected.conditions, selected.dry_run, selected.json
    with ending_between_transactions() as check_signals:
        with progress("steps found") as update:
            count = change(dry_run=True, on_batch=_counter(update, check_signals), **conditions)
        if dry_run or not count:
            _show(count, participle, dry_run, json)
            return
        if not selected.yes:
            check_signals()
            _ask(count, verb)
        changed = 0

        def on_batch(batch: int) -> None:
            nonlocal changed
            changed += batch
            update(changed)
            check_signals()

        try:
            with progress(f"steps {participle}", count) as update:
                change(on_batch=on_batch, **conditions)
        except BaseException:
            if changed:
                _show(changed, participle, False, json)
            raise
    _show(changed, participle, False, json)
    if changed < count:
        tell(f"{_counted(count - changed)} could not be {participle}{why}")


def _counter(update: Callable[[int], None], check_signals: Callable[[], None]) -> OnBatch:
    total = 0

    def on_batch(count: int) -> None:
        nonlocal total
        total += count
        update(total)
        check_signals()

    return on_batch


def _ask(count: int, verb: str) -> None:
    if not sys.stdin.isatty():
        raise InvalidInput(f"{_counted(count)} would be changed; add --yes to {verb} them")
    if not typer.confirm(f"{verb} {_counted(count)}?", err=True):
        raise typer.Exit(1)


def _show(count: int, participle: str, dry_run: bool, json: bool) -> None:
    if json:
        print_json({"steps": count, "dry_run": dry_run})
    elif dry_run:
        say(f"{_counted(count)} would be {participle}")
    else:
        say(f"{participle} {_counted(count)}")


def _counted(count: int) -> str:
    return "1 step" if count == 1 else f"{count} steps"
