"""The command that submits."""

from __future__ import annotations

import codecs
import contextlib
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

import msgspec
import typer

from fleet_q.core.errors import FleetQError, InvalidInput
from fleet_q.core.step import Submit
from fleet_q.services.app.app import FleetQ
from fleet_q.services.cli.options import (
    AppOption,
    JsonOption,
    StoreOption,
    VerboseOption,
    client,
    telling_of_a_new_store,
)
from fleet_q.services.cli.output import print_json, progress
from fleet_q.services.cli.signals import Ended, ending_between_transactions
from fleet_q.services.worker.escapes import one_line

submit_command = typer.Typer()

_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class BrokenOff(Exception):
    """A submission of many steps ended before its last transaction; ``code`` is the exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@submit_command.command()
def submit(
    payload: Annotated[str, typer.Argument(help="a JSON object; -: one a line from stdin")],
    priority: Annotated[int, typer.Option(help="higher goes first")] = 0,
    delay: Annotated[float, typer.Option(help="seconds until it may be claimed")] = 0,
    max_retries: Annotated[int | None, typer.Option(help="tries after the first")] = None,
    step_id: Annotated[str | None, typer.Option(help="your own id for it")] = None,
    store: StoreOption = None,
    app: AppOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Submit a step, and print its id.

    Of many, all are checked before the first is stored; then they are stored 1,000 at a time, and
    the ids printed of those that are.
    """
    fleet = client(store, app, create=True)
    options: dict[str, Any] = {"priority": priority, "delay": delay, "max_retries": max_retries}
    if payload == "-":
        if step_id is not None:
            raise InvalidInput("--step-id names one step; leave it out when reading many")
        _submit_many(fleet, list(_commands(fleet, options)), json)
        return
    command = fleet.command(
        _parse(payload.removeprefix("\ufeff"), "payload"), step_id=step_id, **options
    )
    with telling_of_a_new_store(fleet):
        fleet.submit_commands([command])
    if json:
        print_json(_submitted(command.step_id))
    else:
        sys.stdout.write(one_line(command.step_id) + "\n")


def _submit_many(fleet: FleetQ, commands: list[Submit], json: bool) -> None:
    printed: list[str] = []
    try:
        with (
            telling_of_a_new_store(fleet),
            ending_between_transactions() as check_signals,
            progress("steps stored", len(commands)) as advance,
        ):

            def on_stored(step_ids: Sequence[str]) -> None:
                if not json:
                    sys.stdout.write("".join(f"{step_id}\n" for step_id in step_ids))
                    sys.stdout.flush()
                    printed.extend(step_ids)
                advance(len(step_ids))
                check_signals()

            fleet.submit_commands(commands, on_stored)
    except (Exception, Ended, KeyboardInterrupt) as error:
        stored: Sequence[str] = getattr(error, "stored_ids", ())
        if json:
            with contextlib.suppress(OSError):
                print_json([_submitted(step_id) for step_id in stored])
                printed.extend(stored)
        raise _broken_off(error, len(commands), stored, stored[len(printed) :]) from error
    if json:
        print_json([_submitted(command.step_id) for command in commands])


def _broken_off(
    error: BaseException, wanted: int, stored: Sequence[str], unprinted: Sequence[str]
) -> BrokenOff:
    said = str(error)
    if isinstance(error, KeyboardInterrupt):
        error = Ended(signal.SIGINT)
    elif not isinstance(error, FleetQError | OSError | Ended):
        said = f"{type(error).__name__}: {error}"
    message = f"{len(stored)} of {wanted} steps were stored, then: {said or error}"
    if unprinted:
        message += f"; stored, but not printed: {' '.join(unprinted)}"
    return BrokenOff(message, error.code if isinstance(error, Ended) else 1)


def _submitted(step_id: str) -> dict[str, str]:
    return {"step_id": step_id, "status": "submitted"}


def _commands(fleet: FleetQ, options: dict[str, Any]) -> Iterator[Submit]:
    """A command for every line of stdin that is not blank."""
    if sys.stdin is None:
        raise InvalidInput("stdin is closed; send the steps to it, one a line")
    for number, line in enumerate(sys.stdin.buffer, 1):
        if number == 1 and line.startswith(_UTF_16):
            raise InvalidInput("stdin is UTF-16; send UTF-8")
        line = line.removeprefix(codecs.BOM_UTF8)  # of every line: files may have been joined
        if line.strip():
            payload = _parse(line, f"line {number}")
            try:
                yield fleet.command(payload, **options)
            except InvalidInput as error:
                raise InvalidInput(f"line {number}: {error}") from None


def _parse(text: str | bytes, what: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InvalidInput(f"{what} is not JSON: {error}") from None
