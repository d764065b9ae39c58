"""The options that commands share, and the app that a command uses."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from typing import Annotated, Final

import typer
from msgspec.structs import replace

from fleet_q.adapters.open import (
    absolute,
    current_folder,
    described,
    is_shared,
    store_exists,
)
from fleet_q.core.durations import parse_duration
from fleet_q.core.errors import InvalidInput
from fleet_q.services.app.acting import act_as
from fleet_q.services.app.app import FleetQ
from fleet_q.services.app.queues import user
from fleet_q.services.app.settings import Settings, from_env
from fleet_q.services.worker import logs
from fleet_q.services.worker.escapes import one_line

ONLY_IN_ONE_PROCESS: Final = (
    "memory:// exists only within one process; name another store with --store"
)

verbose = False


def _be_verbose(value: bool) -> None:
    global verbose
    verbose = verbose or value


StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="sqlite:///path or snowflake://; else FLEET_Q_STORE, else sqlite:///fleet-q.db",
    ),
]
AppOption = Annotated[
    str | None,
    typer.Option("--app", metavar="MODULE:APP", help="your FleetQ app; else FLEET_Q_APP"),
]
AppsStoreOption = Annotated[
    str | None,
    typer.Option("--app", metavar="MODULE:APP", help="your FleetQ app, to take its store from"),
]
QUEUES: Final = "FLEET_Q_QUEUES"
QueuesOption = Annotated[
    str | None,
    typer.Option(
        "--queues", metavar="NAMES", help=f"claim from these, such as gpu,default; else {QUEUES}"
    ),
]
HostOption = Annotated[str, typer.Option(metavar="HOST", help="the address to listen on")]
PortOption = Annotated[
    int, typer.Option(metavar="PORT", help="the port; 0: any free one", min=0, max=65535)
]
DURATION: Final = "TIME"
"""The name of a length of time in the help: ``10s``, ``5m``, ``12h``, ``30d`` or seconds."""


def duration(text: str | float) -> float:
    """The parser of options that are lengths of time, which also gets their defaults."""
    try:
        return parse_duration(text) if isinstance(text, str) else text
    except InvalidInput as error:
        raise typer.BadParameter(str(error)) from None


TimeoutOption = Annotated[
    float | None,
    typer.Option(metavar=DURATION, parser=duration, help="fail after so long, such as 30s or 5m"),
]
TlsCertOption = Annotated[
    str | None,
    typer.Option("--tls-cert", metavar="FILE", help="serve HTTPS with this certificate, in PEM"),
]
TlsKeyOption = Annotated[
    str | None, typer.Option("--tls-key", metavar="FILE", help="the certificate's key, in PEM")
]
TlsClientCaOption = Annotated[
    str | None,
    typer.Option(
        "--tls-client-ca", metavar="FILE", help="require certificates that one of these has signed"
    ),
]
WatchOption = Annotated[bool, typer.Option("--watch", help="go on showing it until Ctrl-C")]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON")]
VerboseOption = Annotated[
    bool,
    typer.Option("-v", "--verbose", callback=_be_verbose, help="on an error, print its traceback"),
]


def pods_app(app: str | None, store: str | None, settings: Settings) -> FleetQ:
    """Return the app that ``app`` or ``settings`` name, or an empty one.

    An app that was made with a store or settings of its own keeps them. The others get those of
    ``settings``, and every app gets ``store`` and the pod's id, if they are given.
    """
    folder = current_folder()  # importing the app may change it
    settings = replace(settings, store=absolute(settings.store, folder))
    store = absolute(store, folder) if store is not None else None
    fleet = _load(app or settings.app)
    if fleet is None:
        fleet = FleetQ(settings=settings)
    elif fleet.has_own_settings:
        own = fleet.settings
        settings = replace(own, pod_id=own.pod_id or settings.pod_id)
    fleet.use(store=store, settings=settings)
    return fleet


def with_tls(
    settings: Settings, cert: str | None, key: str | None, client_ca: str | None
) -> Settings:
    """Return the settings with those of the options ``--tls-...`` that are given."""
    given = {"tls_cert": cert, "tls_key": key, "tls_client_ca": client_ca}
    return replace(settings, **{name: file for name, file in given.items() if file is not None})


def client(store: str | None, app: str | None = None, *, create: bool = False) -> FleetQ:
    """Return the app of a command that reads or changes the store and exits. What it changes is
    recorded as done by the user of this process."""
    fleet = pods_app(app, store, from_env())
    if fleet.url is None:
        raise InvalidInput(ONLY_IN_ONE_PROCESS)
    fleet.use(create=create)
    act_as(user())
    return fleet


def store_of(store: str | None, app: str | None) -> tuple[str, Settings]:
    """Return the URL of the store and the settings of a command that uses no functions: those of
    ``app``, which is imported only for that, else those of the environment."""
    if app is not None:
        fleet = client(store, app)
        return str(fleet.url), fleet.settings
    settings = from_env()
    return store or settings.store, settings


def check_is_shared(url: str) -> None:
    """Raise :class:`InvalidInput` if other processes cannot open the store."""
    if not is_shared(url):
        raise InvalidInput(ONLY_IN_ONE_PROCESS)


@contextlib.contextmanager
def reporting_new_store(fleet: FleetQ) -> Iterator[None]:
    """Report on stderr if the body created the store: the user may have meant another directory."""
    existed = store_exists(fleet.where)
    yield
    if not existed:
        logs.tell(f"fleet-q: created a new store: {one_line(described(fleet.where))}")


def _load(reference: str | None) -> FleetQ | None:
    """Import the app ``module:name``; the current directory is searched too."""
    if reference is None:
        return None
    module_name, _, name = reference.partition(":")
    if not module_name or not name:
        raise InvalidInput(f"--app must be module:app, not {reference!r}")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise InvalidInput(
            f"--app {reference}: importing {module_name} raised {type(error).__name__}: {error}"
        ) from error
    fleet = getattr(module, name, None)
    if not isinstance(fleet, FleetQ):
        raise InvalidInput(f"--app {reference}: {module_name} has no FleetQ named {name!r}")
    fleet.reference = reference
    return fleet
