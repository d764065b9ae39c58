"""The command ``fleet-q scaler``."""

from __future__ import annotations

from typing import Annotated

import typer

from fleet_q.core.errors import InvalidInput
from fleet_q.services.app.app import FleetQ
from fleet_q.services.cli.options import (
    AppsStoreOption,
    HostOption,
    JsonOption,
    PortOption,
    StoreOption,
    TlsCertOption,
    TlsClientCaOption,
    TlsKeyOption,
    VerboseOption,
    check_is_shared,
    store_of,
    with_tls,
)
from fleet_q.services.cli.output import print_view
from fleet_q.services.cli.signals import stopping_on_signal
from fleet_q.services.scaler.scaler import Scaler
from fleet_q.services.worker import logs

scaler_command = typer.Typer()


@scaler_command.command()
def scaler(
    host: HostOption = "127.0.0.1",
    port: PortOption = 8001,
    least: Annotated[
        int, typer.Option("--min", metavar="PODS", help="want at least so many", min=0)
    ] = 0,
    most: Annotated[
        int | None, typer.Option("--max", metavar="PODS", help="want at most so many", min=0)
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="print the demand, and exit")] = False,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    tls_client_ca: TlsClientCaOption = None,
    store: StoreOption = None,
    app: AppsStoreOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Serve how many pods a fleet needs, for Prometheus and KEDA.

    It must have the settings of the pods. It wakes a Snowflake warehouse only after steps have
    changed, or when one becomes due.
    """
    if json and not once:
        raise InvalidInput("--json needs --once")
    if most is not None and most < least:
        raise InvalidInput(f"--max ({most}) must not be less than --min ({least})")
    url, settings = store_of(store, app)
    settings = with_tls(settings, tls_cert, tls_key, tls_client_ca)
    check_is_shared(url)
    fleet = FleetQ(url, settings=settings)
    fleet.use(create=False)
    try:
        demand_of = Scaler(fleet.store, settings, least=least, most=most)
        first = demand_of.demand()
        if once:
            print_view(first, json)
            return
        logs.configure(settings)
        from fleet_q.services.cli.serving import serving  # importing FastAPI takes half a second
        from fleet_q.services.http.listener import listen
        from fleet_q.services.http.scaler import create_scaler_http

        with (
            stopping_on_signal() as wait_for_signal,
            listen(host, port) as listener,
            serving(
                lambda hosts: create_scaler_http(demand_of, settings, hosts),
                settings,
                host,
                listener,
                exposed="read how many steps there are",
            ),
        ):
            wait_for_signal()
    finally:
        fleet.close()
