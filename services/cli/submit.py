"""The command ``fleet-q submit``."""

from __future__ import annotations

import codecs
import contextlib
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

import msgspec
import typer

from fleet_q.core.dependencies import KINDS, Kind
from fleet_q.core.errors import FleetQError, InvalidInput, UnknownStep
from fleet_q.core.events import DEFAULT_QUEUE
from fleet_q.core.step import OnConflict, Submit
from fleet_q.services.app.app import FleetQ
from fleet_q.services.app.labels import parse_labels
from fleet_q.services.cli.options import (
    DURATION,
    AppOption,
    JsonOption,
    StoreOption,
    VerboseOption,
    client,
    duration,
    reporting_new_store,
)
from fleet_q.services.cli.output import print_json, progress
from fleet_q.services.cli.signals import Ended, ending_between_transactions
from fleet_q.services.worker.escapes import one_line

submit_command = typer.Typer()

_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class PartlySubmitted(Exception):
    """A submission of many steps ended before its last transaction; ``code`` is the exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@submit_command.command()
def submit(
    payload: Annotated[
        str,
        typer.Argument(metavar="PAYLOAD", help="a JSON object; -: read one per line from stdin"),
    ],
    priority: Annotated[int, typer.Option(metavar="N", help="the highest is claimed first")] = 0,
    delay: Annotated[
        float,
        typer.Option(metavar=DURATION, parser=duration, help="time until it can be claimed"),
    ] = 0,
    max_retries: Annotated[
        int | None, typer.Option(metavar="N", help="retries after the first attempt")
    ] = None,
    step_id: Annotated[
        str | None, typer.Option(metavar="ID", help="your own id; makes submitting idempotent")
    ] = None,
    queue: Annotated[
        str, typer.Option(metavar="NAME", help="the queue that it waits in")
    ] = DEFAULT_QUEUE,
    key: Annotated[
        str | None, typer.Option(metavar="KEY", help="what it belongs to, such as a customer")
    ] = None,
    unique_key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="no other step is stored with it until this one is final"),
    ] = None,
    unique_for: Annotated[
        float | None,
        typer.Option(
            metavar=DURATION, parser=duration, help="and for so long after its submission"
        ),
    ] = None,
    on_conflict: Annotated[
        OnConflict,
        typer.Option(help="if another step has the unique key: print its id, replace it, or fail"),
    ] = "existing",
    labels: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="NAME=TEXT", help="to find it by; may be repeated"),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(metavar=DURATION, parser=duration, help="how long its function may take"),
    ] = None,
    start_by: Annotated[
        float | None,
        typer.Option(
            metavar=DURATION, parser=duration, help="cancel it if it was not begun by then"
        ),
    ] = None,
    after: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID[:finished]",
            help="wait until that step is completed, or :finished in any way; may be repeated",
        ),
    ] = None,
    store: StoreOption = None,
    app: AppOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Submit a step and print its id.

    With -, a step is submitted for every line of stdin. All lines are checked before the first step
    is stored; then up to 1,000 steps are stored at a time, and their ids are printed.
    """
    fleet = client(store, app, create=True)
    options: dict[str, Any] = {
        "priority": priority,
        "delay": delay,
        "max_retries": max_retries,
        "queue": queue,
        "key": key,
        "unique_key": unique_key,
        "unique_for": unique_for,
        "on_conflict": on_conflict,
        "labels": parse_labels(labels or []),
        "timeout": timeout,
        "after": parse_parents(after or []),
        "start_by": start_by,
    }
    if payload == "-":
        if step_id is not None:
            raise InvalidInput("--step-id is for one step; omit it when reading steps from stdin")
        _submit_many(fleet, list(_commands(fleet, options)), json)
        return
    command = fleet.command(
        parse_payload(payload.removeprefix("\ufeff"), "payload"), step_id=step_id, **options
    )
    try:
        with reporting_new_store(fleet):
            [stored_id] = fleet.submit_commands([command])
    except UnknownStep as error:
        raise FleetQError(_unknown_parent(error)) from None
    if json:
        print_json(_submitted(stored_id))
    else:
        sys.stdout.write(one_line(stored_id) + "\n")


def _submit_many(fleet: FleetQ, commands: list[Submit], json: bool) -> None:
    printed: list[str] = []
    done = 0
    try:
        with (
            reporting_new_store(fleet),
            ending_between_transactions() as check_signals,
            progress("steps stored", len(commands), between_lines=not json) as update,
        ):

            def on_stored(step_ids: Sequence[str]) -> None:
                nonlocal done
                if not json:
                    sys.stdout.write("".join(f"{step_id}\n" for step_id in step_ids))
                    sys.stdout.flush()
                    printed.extend(step_ids)
                done += len(step_ids)
                update(done)
                check_signals()

            step_ids = fleet.submit_commands(commands, on_stored)
    except (Exception, Ended, KeyboardInterrupt) as error:
        stored: Sequence[str] = getattr(error, "stored_ids", ())
        if json:
            with contextlib.suppress(OSError):
                print_json([_submitted(step_id) for step_id in stored])
                printed.extend(stored)
        raise _partly_submitted(error, len(commands), stored, stored[len(printed) :]) from error
    if json:
        print_json([_submitted(step_id) for step_id in step_ids])


def _partly_submitted(
    error: BaseException, total: int, stored: Sequence[str], unprinted: Sequence[str]
) -> PartlySubmitted:
    reason = _unknown_parent(error) if isinstance(error, UnknownStep) else str(error)
    if isinstance(error, KeyboardInterrupt):
        error = Ended(signal.SIGINT)
    elif not isinstance(error, FleetQError | OSError | Ended):
        reason = f"{type(error).__name__}: {error}"
    message = f"{len(stored)} of {total} steps were stored, then: {reason or error}"
    if unprinted:
        message += f"; stored, but not printed: {' '.join(unprinted)}"
    return PartlySubmitted(message, error.code if isinstance(error, Ended) else 1)


def parse_parents(texts: Sequence[str]) -> dict[str, Kind]:
    """The parents of ``--after ID[:finished]``; an id that itself ends in ``:finished`` is followed
    by ``:success``. Raises :class:`InvalidInput`."""
    parents: dict[str, Kind] = {}
    for text in texts:
        step_id, _, kind = text.rpartition(":")
        if kind not in KINDS:  # the id may have colons, too
            step_id, kind = text, "success"
        if step_id in parents:
            raise InvalidInput(f"--after {step_id!r} is given twice; give each step once")
        parents[step_id] = "finished" if kind == "finished" else "success"
    return parents


def _unknown_parent(error: UnknownStep) -> str:
    """The reason, and that only a few words after a colon are no part of an id."""
    hint = f"; --after ID:KIND knows {' and '.join(KINDS)}" if ":" in error.step_id else ""
    return f"{error}{hint}"


def _submitted(step_id: str) -> dict[str, str]:
    return {"step_id": step_id, "status": "submitted"}


def _commands(fleet: FleetQ, options: dict[str, Any]) -> Iterator[Submit]:
    """Yield a command for every line of stdin that is not blank."""
    if sys.stdin is None:
        raise InvalidInput("stdin is closed; pipe the steps to it, one per line")
    for number, line in enumerate(sys.stdin.buffer, 1):
        if number == 1 and line.startswith(_UTF_16):
            raise InvalidInput("stdin is UTF-16; send UTF-8")
        line = line.removeprefix(
            codecs.BOM_UTF8
        )  # on any line: concatenated files may have several
        if line.strip():
            payload = parse_payload(line, f"line {number}")
            try:
                yield fleet.command(payload, **options)
            except InvalidInput as error:
                raise InvalidInput(f"line {number}: {error}") from None


def parse_payload(text: str | bytes, what: str) -> Any:
    """The payload that a JSON text is. Raises :class:`InvalidInput`."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InvalidInput(f"{what} is not JSON: {error}") from None
