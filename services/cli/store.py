"""The commands about the store itself: ``schema``, ``doctor`` and ``rebuild``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from fleet_q.adapters.open import dialect
from fleet_q.adapters.snowflake.connection import named
from fleet_q.adapters.snowflake.schema import Place, TableKind, script
from fleet_q.adapters.snowflake.statements import Statements, identifier
from fleet_q.adapters.sqlite import migrate as sqlite_migrate
from fleet_q.core.errors import FleetQError, InvalidInput
from fleet_q.services.app.settings import Settings
from fleet_q.services.cli import doctor as doctors
from fleet_q.services.cli import probe as probes
from fleet_q.services.cli import schema_status
from fleet_q.services.cli.options import (
    AppOption,
    AppsStoreOption,
    JsonOption,
    StoreOption,
    VerboseOption,
    client,
    store_of,
)
from fleet_q.services.cli.output import print_json, progress, say
from fleet_q.services.cli.rebuild_lines import rebuild_lines

store_commands = typer.Typer()


@store_commands.command()
def schema(
    store: StoreOption = None,
    table_kind: Annotated[
        TableKind | None, typer.Option(help="of Snowflake; hybrid tables have keys and row locks")
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="create or migrate the tables in Snowflake")
    ] = False,
    status: Annotated[
        bool, typer.Option("--status", help="print the tables' version and pending migrations")
    ] = False,
    role: Annotated[
        str | None, typer.Option(metavar="ROLE", help="the Snowflake role of pods, for the grants")
    ] = None,
    app: AppsStoreOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Print, apply or check the tables of a store.

    Without --apply or --status, print the SQL of the tables and, for Snowflake, of the grants of
    the pods' role.
    """
    url, settings = store_of(store, app)
    if apply and status:
        raise InvalidInput("--apply and --status cannot be combined; choose one")
    if json and not status:
        raise InvalidInput("--json needs --status")
    if status:
        report = schema_status.read_status(url, settings.table_prefix)
        if json:
            print_json(report)
            return
        for line in schema_status.status_lines(report):
            say(line)
    elif dialect(url) == "snowflake":
        if apply:
            _apply(url, settings, table_kind, role)
        else:
            sys.stdout.write(_script(url, settings, table_kind, role))
    elif table_kind or role:
        raise InvalidInput("--table-kind and --role are for snowflake:// stores only")
    elif apply:
        say("a SQLite store creates and migrates its own tables; there is nothing to apply")
    else:
        sys.stdout.write(sqlite_migrate.script() + "\n")


@store_commands.command()
def doctor(
    store: StoreOption = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="try on the account what FLEET-Q assumes of Snowflake")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="with --probe: do not ask")] = False,
    long: Annotated[
        bool, typer.Option("--long", help="with --probe: take longer than two minutes")
    ] = False,
    latencies: Annotated[
        Path | None,
        typer.Option(help="with --probe: write the durations, for simulate --latencies"),
    ] = None,
    app: AppsStoreOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Check a store, and show how to fix what is wrong. Resumes the Snowflake warehouse."""
    url, settings = store_of(store, app)
    if probe:
        probes.run(url, yes=yes, is_long=long, latencies=latencies, json=json)
        return
    if yes or long or latencies:
        raise InvalidInput("--yes, --long and --latencies need --probe")
    findings = doctors.examine(url, settings.table_prefix)
    if json:
        found = list(findings)
        print_json(found)
    else:
        found = doctors.show(findings)
    failed = [finding.check for finding in found if finding.verdict == "fail"]
    if failed:
        raise FleetQError(f"failed checks: {', '.join(failed)}")


@store_commands.command()
def rebuild(
    check: Annotated[
        bool, typer.Option("--check", help="compare them, and change nothing")
    ] = False,
    store: StoreOption = None,
    app: AppOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Correct the steps and pods that differ from the event log."""
    fleet = client(store, app)
    with progress("events read") as update:
        report = fleet.store.rebuild(check=check, progress=update)
    if json:
        print_json({**msgspec.to_builtins(report), "equal": report.equal})
    else:
        for line in rebuild_lines(report, check=check):
            say(line)
    if report.inconsistent:
        raise FleetQError(
            f"{len(report.inconsistent)} have events that contradict each other, the first:"
            f" {report.inconsistent[0]}; they were left alone, delete what was put in by hand"
        )
    if check and not report.equal:
        raise FleetQError(
            f"{len(report.differing)} rows differ from the log, the first is"
            f" {report.differing[0]!r}; run fleet-q rebuild"
        )


def _script(url: str, settings: Settings, kind: TableKind | None, role: str | None) -> str:
    """Return the SQL script; a placeholder stands for each name that is not configured."""
    names = named(url)
    place = Place(
        warehouse=identifier(names.get("warehouse", "YOUR_WAREHOUSE")),
        database=identifier(names.get("database", "YOUR_DATABASE")),
        schema=identifier(names.get("schema", "YOUR_SCHEMA")),
        role=identifier(role or "FLEET_Q"),
    )
    return script(Statements(settings.table_prefix), kind or TableKind.STANDARD, place)


def _apply(url: str, settings: Settings, kind: TableKind | None, role: str | None) -> None:
    from fleet_q.adapters.snowflake.opening import open_snowflake  # the connector may be missing

    snowflake = open_snowflake(url, tag="fleet-q schema", table_prefix=settings.table_prefix)
    from fleet_q.adapters.snowflake.migrate import migrate

    try:
        for head in migrate(snowflake.session, kind, role):
            say(f"done    {head}")
    finally:
        snowflake.close()
