"""The commands ``fleet-q steps``: list steps, and change those that a filter selects."""

from __future__ import annotations

import inspect
import shlex
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import wraps
from typing import Annotated, Any, Final

import typer

from fleet_q.core.errors import InvalidInput
from fleet_q.services.app.moments import age, parse_moment
from fleet_q.services.app.search import LONGEST_LIST, OnBatch, StepRow
from fleet_q.services.cli.options import AppOption, JsonOption, StoreOption, VerboseOption, client
from fleet_q.services.cli.output import print_json, print_table, progress, say
from fleet_q.services.cli.signals import ending_between_transactions
from fleet_q.services.cli.submit import labels_of

steps_commands = typer.Typer(
    help="List steps, and cancel, replay or reprioritize those that are selected.",
    no_args_is_help=True,
)

Several = list[str] | None

_CONDITIONS: Final[dict[str, Any]] = {
    "status": Annotated[Several, typer.Option(metavar="STATUS", help="may be repeated")],
    "type": Annotated[Several, typer.Option(metavar="TYPE", help="may be repeated")],
    "queue": Annotated[Several, typer.Option(metavar="NAME", help="may be repeated")],
    "key": Annotated[Several, typer.Option(metavar="KEY", help="may be repeated")],
    "label": Annotated[Several, typer.Option(metavar="NAME=TEXT", help="all that are given")],
    "pod": Annotated[str | None, typer.Option(metavar="POD_ID", help="holds it, or held it last")],
    "prefix": Annotated[str | None, typer.Option(metavar="TEXT", help="how the id begins")],
    "since": Annotated[str | None, typer.Option(metavar="TIME", help="submitted since: 2h, or a"
                                                " time in UTC")],
    "until": Annotated[str | None, typer.Option(metavar="TIME", help="submitted before")],
}  # fmt: skip
"""The options of all these commands, which select steps."""

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="do not ask")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="count them, and change nothing")]


def _with_conditions(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that select steps; its parameter ``conditions`` gets those that
    were given, as the methods of the app take them."""

    @wraps(command)
    def selecting(**options: Any) -> None:
        given = {name: options.pop(name) for name in _CONDITIONS}
        command(conditions=_conditions(given), **options)

    own = [
        parameter
        for name, parameter in inspect.signature(command, eval_str=True).parameters.items()
        if name != "conditions"
    ]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option)
        for name, option in _CONDITIONS.items()
    ]
    own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    selecting.__signature__ = inspect.Signature([*added, *own])  # type: ignore[attr-defined]
    selecting.__annotations__ = {each.name: each.annotation for each in [*added, *own]}
    return selecting


def _conditions(given: dict[str, Any]) -> dict[str, Any]:
    names = {"type": "task_type", "pod": "pod_id", "prefix": "id_prefix"}
    conditions = {names.get(name, name): value for name, value in given.items() if value}
    if "label" in conditions:
        conditions["labels"] = labels_of(conditions.pop("label"))
    for name in ("since", "until"):
        if name in conditions:
            conditions[name] = parse_moment(conditions[name])
    return conditions


@steps_commands.command("list")
@_with_conditions
def list_steps(
    conditions: dict[str, Any],
    limit: Annotated[
        int, typer.Option(metavar="COUNT", help="how many", min=1, max=LONGEST_LIST)
    ] = 50,
    cursor: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="the 'cursor' of the previous page")
    ] = None,
    store: StoreOption = None,
    app: AppOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """List steps, the latest submission first."""
    page = client(store, app).steps(limit=limit, cursor=cursor, **conditions)
    if json:
        print_json(page)
        return
    now = datetime.now(UTC)
    lines = [_Line(row, now) for row in page.steps]
    print_table(lines, _Line.columns, "no step is selected", cut="error")
    if page.cursor is not None:
        say("")
        say(f"more: add --cursor {shlex.quote(page.cursor)}")


@steps_commands.command("cancel")
@_with_conditions
def cancel_steps(
    conditions: dict[str, Any],
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    store: StoreOption = None,
    app: AppOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Cancel the selected steps that are pending or claimed."""
    fleet = client(store, app)
    _change(fleet.cancel_steps, "cancel", "cancelled", conditions, yes, dry_run, json)


@steps_commands.command("replay")
@_with_conditions
def replay_steps(
    conditions: dict[str, Any],
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    store: StoreOption = None,
    app: AppOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Replay the selected dead letters or, with --status cancelled, cancelled steps.

    They become pending again, with all their tries.
    """
    fleet = client(store, app)
    _change(fleet.replay_steps, "replay", "replayed", conditions, yes, dry_run, json)


@steps_commands.command("set-priority")
@_with_conditions
def set_priority(
    conditions: dict[str, Any],
    priority: Annotated[int, typer.Option(metavar="NUMBER", help="higher is claimed first")],
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    store: StoreOption = None,
    app: AppOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Set the priority of the selected steps that are pending."""
    fleet = client(store, app)

    def change(**options: Any) -> int:
        return fleet.reprioritize_steps(priority, **options)

    _change(change, "reprioritize", "reprioritized", conditions, yes, dry_run, json)


class _Line:
    """A step as a line of a table, with as much of its error as 80 columns have room for."""

    columns: Final[Sequence[str]] = ("step_id", "status", "type", "for", "error")

    def __init__(self, row: StepRow, now: datetime) -> None:
        status = row.status if row.attempt == 1 else f"{row.status} ({row.attempt})"
        last_update = datetime.fromisoformat(row.last_update_ts).replace(tzinfo=UTC)
        self.step_id = row.step_id
        self.status = status
        self.type = row.task_type
        self.error = row.error
        setattr(self, "for", age((now - last_update).total_seconds()))


def _change(
    change: Callable[..., int],
    verb: str,
    participle: str,
    conditions: dict[str, Any],
    yes: bool,
    dry_run: bool,
    json: bool,
) -> None:
    """Count the selected steps, ask, and change them batch by batch."""
    with ending_between_transactions() as check_signals:
        with progress("steps found") as update:
            count = change(dry_run=True, on_batch=_counter(update, check_signals), **conditions)
        if dry_run or not count:
            _show(0 if not dry_run else count, participle, dry_run, json)
            return
        if not yes:
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
