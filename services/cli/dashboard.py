"""The command ``fleet-q dashboard``."""

from __future__ import annotations

import typer

from fleet_q.services.app.app import FleetQ
from fleet_q.services.cli.options import (
    AppOption,
    HostOption,
    PortOption,
    StoreOption,
    TlsCertOption,
    TlsClientCaOption,
    TlsKeyOption,
    VerboseOption,
    client,
    with_tls,
)
from fleet_q.services.cli.signals import stopping_on_signal
from fleet_q.services.worker import logs

dashboard_command = typer.Typer()


@dashboard_command.command()
def dashboard(
    host: HostOption = "127.0.0.1",
    port: PortOption = 8001,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    tls_client_ca: TlsClientCaOption = None,
    store: StoreOption = None,
    app: AppOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Show a fleet in a browser, now and as it was. It changes no step and runs no pod.

    It wakes a Snowflake warehouse only when a page is opened, or is open and something has changed.
    """
    named = client(store, app)
    settings = with_tls(named.settings, tls_cert, tls_key, tls_client_ca)
    fleet = FleetQ(named.url, settings=settings)
    fleet.use(create=False)
    try:
        fleet.store.change_counter()  # a store that cannot be opened is an error now
        logs.configure(settings)
        from fleet_q.services.cli.serving import serving  # importing FastAPI takes half a second
        from fleet_q.services.http.dashboard import create_dashboard_http
        from fleet_q.services.http.listener import listen

        with (
            stopping_on_signal() as wait_for_signal,
            listen(host, port) as listener,
            serving(
                lambda hosts: create_dashboard_http(fleet, hosts),
                settings,
                host,
                listener,
                exposed="read all steps",
            ),
        ):
            wait_for_signal()
    finally:
        fleet.close()
