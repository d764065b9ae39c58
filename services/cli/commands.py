"""The command line ``fleet-q``: its commands, and those of the modules beside this one."""

from __future__ import annotations

import shlex
from typing import Annotated, NoReturn

import msgspec
import typer

from fleet_q.core.errors import InvalidInput, StepNotCompleted
from fleet_q.services.app.app import FleetQ
from fleet_q.services.app.ids import new_pod_id
from fleet_q.services.app.settings import from_env
from fleet_q.services.app.version import installed_version
from fleet_q.services.cli import completion
from fleet_q.services.cli.alerts import alert_commands
from fleet_q.services.cli.audit import audit_command
from fleet_q.services.cli.dashboard import dashboard_command
from fleet_q.services.cli.main import run
from fleet_q.services.cli.options import (
    QUEUES,
    AppOption,
    HostOption,
    JsonOption,
    PortOption,
    QueuesOption,
    StoreOption,
    TimeoutOption,
    TlsCertOption,
    TlsClientCaOption,
    TlsKeyOption,
    VerboseOption,
    client,
    pods_app,
    with_tls,
)
from fleet_q.services.cli.output import (
    print_events,
    print_json,
    print_view,
    progress,
    say,
    tell,
)
from fleet_q.services.cli.pods import pods_commands
from fleet_q.services.cli.prune import prune_command
from fleet_q.services.cli.queue import queue_commands
from fleet_q.services.cli.scaler import scaler_command
from fleet_q.services.cli.schedules import schedule_commands
from fleet_q.services.cli.signals import ending_between_transactions
from fleet_q.services.cli.simulate import simulate_commands
from fleet_q.services.cli.steps import print_dead_letters, steps_commands
from fleet_q.services.cli.store import store_commands
from fleet_q.services.cli.submit import submit_command
from fleet_q.services.cli.workflow import workflow_commands
from fleet_q.services.worker import logs
from fleet_q.services.worker.reaping import reap_orphans

cli = typer.Typer(
    name="fleet-q",
    help="A brokerless task queue: its pods share one SQL database and nothing else.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
dlq = typer.Typer(
    help="List and replay dead letters, the steps that failed for good.", no_args_is_help=True
)
cli.add_typer(dlq, name="dlq")
cli.add_typer(alert_commands, name="alerts")
cli.add_typer(queue_commands, name="queue")
cli.add_typer(schedule_commands, name="schedules")
cli.add_typer(steps_commands, name="steps")
cli.add_typer(workflow_commands, name="workflow")
cli.add_typer(submit_command)
cli.add_typer(pods_commands)
cli.add_typer(store_commands)
cli.add_typer(prune_command)
cli.add_typer(simulate_commands)
cli.add_typer(scaler_command)
cli.add_typer(audit_command)
cli.add_typer(dashboard_command)

StepId = Annotated[
    str,
    typer.Argument(metavar="STEP_ID", help="the step's id", autocompletion=completion.step_ids),
]


def _print_version(value: bool) -> None:
    if value:
        say(f"fleet-q {installed_version()}")
        raise typer.Exit


@cli.callback()
def fleet_q(
    verbose: VerboseOption = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="print the version"),
    ] = False,
) -> None:
    """Options that stand before the command; ``-v`` may also follow it."""


@cli.command()
def serve(
    host: HostOption = "127.0.0.1",
    port: PortOption = 8000,
    lease: Annotated[
        bool,
        typer.Option("--lease", help="run no functions: clients claim steps and end them"),
    ] = False,
    task_types: Annotated[
        str | None,
        typer.Option("--task-types", metavar="NAMES", help="with --lease: claim only these types"),
    ] = None,
    queues: QueuesOption = None,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    tls_client_ca: TlsClientCaOption = None,
    store: StoreOption = None,
    app: AppOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Run a pod with its HTTP API."""
    reap_orphans()
    from fleet_q.services.cli.server import run_server  # importing FastAPI takes half a second

    if task_types is not None and not lease:
        raise InvalidInput(
            "--task-types needs --lease: other pods claim what they have functions for"
        )
    types = None if task_types is None else [name.strip() for name in task_types.split(",")]
    fleet = _pod(app, store, queues)
    fleet.use(settings=with_tls(fleet.settings, tls_cert, tls_key, tls_client_ca))
    run_server(fleet, host, port, lease=lease, task_types=types)


@cli.command()
def worker(
    queues: QueuesOption = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT", help="serve /metrics for Prometheus; 0: any free port", min=0, max=65535
        ),
    ] = None,
    metrics_host: Annotated[
        str, typer.Option(metavar="HOST", help="the address of --metrics-port")
    ] = "127.0.0.1",
    store: StoreOption = None,
    app: AppOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Run a pod without HTTP."""
    reap_orphans()
    from fleet_q.services.cli.process import run_worker

    fleet = _pod(app, store, queues)
    if not fleet.runs_steps:
        problem = "no function is registered, so this worker would run nothing"
        if fleet.reference is not None:
            raise InvalidInput(f"{problem}: {fleet.reference} has no task and no executor")
        raise InvalidInput(f"{problem}: name your app with --app MODULE:APP or FLEET_Q_APP")
    if metrics_port is None:
        run_worker(fleet)
        return
    from fleet_q.services.cli.server import run_measured_worker

    run_measured_worker(fleet, metrics_host, metrics_port)


@cli.command()
def status(
    step_id: StepId, store: StoreOption = None, app: AppOption = None, json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:  # fmt: skip
    """Show a step."""
    print_view(client(store, app).status(step_id), json)


@cli.command()
def history(
    step_id: StepId, store: StoreOption = None, app: AppOption = None, json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:  # fmt: skip
    """Show the events of a step."""
    events = client(store, app).history(step_id)
    if json:
        print_json(events)
    else:
        print_events(events)


@cli.command()
def cancel(
    step_id: StepId, store: StoreOption = None, app: AppOption = None, json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:  # fmt: skip
    """Cancel a step that has not ended."""
    step = client(store, app).cancel(step_id)
    if json:
        print_json(step)
    else:
        say(f"step {step_id} is {step.status}")


@cli.command()
def wait(
    step_id: StepId,
    timeout: TimeoutOption = None,
    store: StoreOption = None,
    app: AppOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Wait until a step is final and show it. Fails unless the step is completed."""
    step = client(store, app).wait(step_id, timeout)
    print_view(step, json)
    if step.status != "completed":
        raise StepNotCompleted(step_id, step.status, step.error)


@cli.command()
def recover(
    store: StoreOption = None, app: AppOption = None, json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:  # fmt: skip
    """Recover the steps of dead pods now. Pods that seem dead are watched for two heartbeat
    intervals first."""
    stats = client(store, app).recover(tell)
    print_view(msgspec.to_builtins(stats), json)


@dlq.command("list")
def dlq_list(
    limit: Annotated[
        int, typer.Option(metavar="COUNT", help="how many to show, up to 1000", min=1)
    ] = 100,
    before: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="the 'before' of the previous page")
    ] = None,
    store: StoreOption = None,
    app: AppOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """List dead letters, newest first."""
    page = client(store, app).dead_letters(limit, before)
    if json:
        print_json(page)
        return
    print_dead_letters(page.steps)
    if page.before is not None:
        say("")
        say(f"more: fleet-q dlq list --before {shlex.quote(page.before)}")


@dlq.command("replay")
def dlq_replay(
    step_ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="STEP_ID", help="the steps' ids", autocompletion=completion.step_ids
        ),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="every dead letter")] = False,
    store: StoreOption = None,
    app: AppOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Replay dead letters or cancelled steps.

    They become pending again, with all their tries.
    """
    if bool(step_ids) == all_:
        raise InvalidInput("name either the steps to replay or --all")
    fleet = client(store, app)
    replayed = _replay_all(fleet, json) if all_ else len(fleet.replay(step_ids or []))
    _show_replayed(replayed, json)


def _replay_all(fleet: FleetQ, json: bool) -> int:
    replayed = 0
    try:
        with (
            ending_between_transactions() as check_signals,
            progress("steps replayed") as update,
        ):

            def on_replayed(count: int) -> None:
                nonlocal replayed
                replayed += count
                update(replayed)
                check_signals()

            return fleet.replay_all(on_replayed)
    except BaseException:
        if replayed:
            _show_replayed(replayed, json)
        raise


def _show_replayed(replayed: int, json: bool) -> None:
    if json:
        print_json({"replayed": replayed})
    else:
        say(f"replayed {replayed} steps" if replayed != 1 else "replayed 1 step")


@cli.command()
def demo(
    steps: Annotated[
        int, typer.Option(metavar="COUNT", help="how many to submit", min=50, max=5000)
    ] = 300,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Run three pods on one queue, and kill one of them."""
    from fleet_q.services.cli.demo.demo import run_demo

    run_demo(steps, json)


def main() -> NoReturn:
    """Run the command line."""
    run(cli)


def _pod(app: str | None, store: str | None, queues: str | None) -> FleetQ:
    """Load the app whose pod is to run, name the pod and its queues, and set up the logs."""
    settings = from_env()
    if settings.pod_id is None:
        settings = msgspec.structs.replace(settings, pod_id=new_pod_id())
    logs.configure(settings, settings.pod_id)
    fleet = pods_app(app, store, settings)
    if fleet.settings != msgspec.structs.replace(settings, store=fleet.settings.store):
        logs.configure(fleet.settings, fleet.settings.pod_id)  # the app has settings of its own
    if queues is not None:
        named = from_env({QUEUES: queues}).queues
        fleet.use(settings=msgspec.structs.replace(fleet.settings, queues=named))
    return fleet


if __name__ == "__main__":
    main()
