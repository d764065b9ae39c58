"""The command ``fleet-q``."""

from __future__ import annotations

import sys
from typing import Annotated, Any, NoReturn

import msgspec
import typer
from rich.markup import escape

from fleet_q.core.errors import FleetQError, InvalidInput
from fleet_q.core.step import Submit
from fleet_q.services import logs
from fleet_q.services.app import FleetQ
from fleet_q.services.cli_main import run
from fleet_q.services.cli_options import (
    AppOption,
    JsonOption,
    StoreOption,
    VerboseOption,
    client,
    pods_app,
    telling_of_a_new_store,
)
from fleet_q.services.cli_prune import prune_command
from fleet_q.services.cli_simulate import simulate_commands
from fleet_q.services.cli_store import store_commands
from fleet_q.services.ids import new_pod_id
from fleet_q.services.output import out, print_json, print_record, print_table
from fleet_q.services.settings import from_env

cli = typer.Typer(
    name="fleet-q",
    help="A brokerless task queue: one SQL database is all that its pods share.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
dlq = typer.Typer(help="Dead letters: the steps that failed for good.", no_args_is_help=True)
cli.add_typer(dlq, name="dlq")
cli.add_typer(store_commands)
cli.add_typer(prune_command)
cli.add_typer(simulate_commands)

StepId = Annotated[str, typer.Argument(metavar="STEP_ID", help="the step's id")]


@cli.callback()
def fleet_q(verbose: VerboseOption = False) -> None:
    """Every command takes ``-v`` too; here it may stand in front."""


@cli.command()
def serve(
    host: Annotated[str, typer.Option(help="the address to listen on")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="the port; 0: any that is free", min=0, max=65535)
    ] = 8000,
    store: StoreOption = None,
    app: AppOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Run a pod with its HTTP API."""
    from fleet_q.services.process import run_server  # FastAPI takes half a second to import

    run_server(_pod(app, store), host, port)


@cli.command()
def worker(
    store: StoreOption = None, app: AppOption = None, verbose: VerboseOption = False
) -> None:
    """Run a pod without HTTP: the reference worker."""
    from fleet_q.services.process import run_worker

    run_worker(_pod(app, store))


@cli.command()
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
    """Submit a step, and print its id."""
    fleet = client(store, app, create=True)
    options: dict[str, Any] = {"priority": priority, "delay": delay, "max_retries": max_retries}
    if payload == "-":
        if step_id is not None:
            raise InvalidInput("--step-id names one step; leave it out when reading many")
        commands = _read_lines(fleet, options)
    else:
        commands = [fleet.command(_parse(payload, "payload"), step_id=step_id, **options)]
    with telling_of_a_new_store(fleet):
        fleet.submit_commands(commands)
    submitted = [{"step_id": command.step_id, "status": "submitted"} for command in commands]
    if json:
        print_json(submitted if payload == "-" else submitted[0])
    else:
        for command in commands:
            sys.stdout.write(command.step_id + "\n")


@cli.command()
def status(
    step_id: StepId, store: StoreOption = None, json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:  # fmt: skip
    """Show a step."""
    _show(client(store).status(step_id), json)


@cli.command()
def history(
    step_id: StepId, store: StoreOption = None, json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:  # fmt: skip
    """Show all that happened to a step."""
    events = client(store).history(step_id)
    if json:
        print_json(events)
    else:
        print_table(events, ("version", "at", "type", "pod_id", "data"), "", cut=("data",))


@cli.command()
def cancel(
    step_id: StepId, store: StoreOption = None, json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:  # fmt: skip
    """Call off a step that has not ended."""
    step = client(store).cancel(step_id)
    if json:
        print_json(step)
    else:
        out.print(f"step {escape(step_id)} is {step.status}")


@cli.command()
def wait(
    step_id: StepId,
    timeout: Annotated[float | None, typer.Option(help="seconds to wait at most", min=0)] = None,
    store: StoreOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Wait until a step has ended, and show it; fails unless it is completed."""
    step = client(store).wait(step_id, timeout)
    _show(step, json)
    if step.status != "completed":
        raise FleetQError(
            f"step {step_id!r} is {step.status}" + (f": {step.error}" if step.error else "")
        )


@cli.command()
def queue(
    store: StoreOption = None, json: JsonOption = False, verbose: VerboseOption = False
) -> None:
    """Count the steps in each status."""
    _show(client(store).queue(), json)


@cli.command()
def pods(
    store: StoreOption = None, json: JsonOption = False, verbose: VerboseOption = False
) -> None:
    """List the pods, the living first."""
    found = client(store).pods()
    if json:
        print_json(found)
    else:
        columns = ("pod_id", "status", "alive", "leader", "birth_ts", "last_heartbeat_ts")
        print_table(found, columns, "no pod has joined yet")


@cli.command()
def leader(
    store: StoreOption = None, json: JsonOption = False, verbose: VerboseOption = False
) -> None:
    """Show who leads: the oldest live pod."""
    _show(client(store).leader(), json)


@cli.command()
def recover(
    store: StoreOption = None, json: JsonOption = False, verbose: VerboseOption = False
) -> None:
    """Run one recovery cycle now: give back what dead pods held."""
    _show(msgspec.to_builtins(client(store).recover()), json)


@dlq.command("list")
def dlq_list(
    limit: Annotated[int, typer.Option(help="how many to show", min=1)] = 100,
    before: Annotated[str | None, typer.Option(help="the 'before' of the page in front")] = None,
    store: StoreOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """List dead letters, newest first."""
    page = client(store).dead_letters(limit, before)
    if json:
        print_json(page)
        return
    columns = ("step_id", "last_update_ts", "retry_count", "error", "payload")
    print_table(page.steps, columns, "no step has failed for good", cut=("error", "payload"))
    if page.before is not None:
        out.print(f"\nmore: fleet-q dlq list --before '{escape(page.before)}'")


@dlq.command("replay")
def dlq_replay(
    step_ids: Annotated[list[str] | None, typer.Argument(metavar="[STEP_ID]...")] = None,
    all_: Annotated[bool, typer.Option("--all", help="every dead letter")] = False,
    store: StoreOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Give dead letters, or cancelled steps, all their tries again."""
    if bool(step_ids) == all_:
        raise InvalidInput("name the steps to replay, or say --all")
    fleet = client(store)
    replayed = fleet.replay_all() if all_ else len(fleet.replay(step_ids or []))
    if json:
        print_json({"replayed": replayed})
    else:
        out.print(f"replayed {replayed} steps" if replayed != 1 else "replayed 1 step")


@cli.command()
def demo(
    steps: Annotated[int, typer.Option(help="how many steps", min=50, max=5000)] = 300,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Watch three pods share a queue while one of them is killed."""
    from fleet_q.services.demo import run_demo

    run_demo(steps, json)


def main() -> NoReturn:
    """Run the command line."""
    run(cli)


def _pod(app: str | None, store: str | None) -> FleetQ:
    """The app to run a pod of, with its logs set up and its pod named."""
    settings = from_env()
    if settings.pod_id is None:
        settings = msgspec.structs.replace(settings, pod_id=new_pod_id())
    logs.configure(settings, settings.pod_id)
    return pods_app(app, store, settings)


def _show(value: Any, json: bool) -> None:
    if json:
        print_json(value)
    else:
        print_record(value)


def _parse(text: str | bytes, what: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InvalidInput(f"{what} is not JSON: {error}") from None


def _read_lines(fleet: FleetQ, options: dict[str, Any]) -> list[Submit]:
    """All lines are checked before the first is stored."""
    if sys.stdin is None:
        raise InvalidInput("stdin is closed; send the steps to it, one a line")
    commands = []
    for number, line in enumerate(sys.stdin.buffer, 1):
        if line.strip():
            payload = _parse(line, f"line {number}")
            try:
                commands.append(fleet.command(payload, **options))
            except InvalidInput as error:
                raise InvalidInput(f"line {number}: {error}") from None
    return commands


if __name__ == "__main__":
    main()
