"""The options that commands share, and how they find their app."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from typing import Annotated

import typer
from msgspec.structs import replace

from fleet_q.adapters.open import (
    absolute,
    current_folder,
    described,
    is_shared,
    store_exists,
)
from fleet_q.core.errors import InvalidInput
from fleet_q.services.app.app import FleetQ
from fleet_q.services.app.settings import Settings, from_env
from fleet_q.services.worker import logs
from fleet_q.services.worker.escapes import one_line

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
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON")]
VerboseOption = Annotated[
    bool,
    typer.Option("-v", "--verbose", callback=_be_verbose, help="on an error, print its traceback"),
]


def pods_app(app: str | None, store: str | None, settings: Settings) -> FleetQ:
    """The user's app, or an empty one, to run a pod of."""
    folder = current_folder()  # the app's module may change it
    settings = replace(settings, store=absolute(settings.store, folder))
    store = absolute(store, folder) if store is not None else None
    found = _load(app or settings.app)
    if found is None:
        found = FleetQ(settings=settings)
    found.use(store=store, settings=settings)
    return found


def client(store: str | None, app: str | None = None, *, create: bool = False) -> FleetQ:
    """An app for a command that comes, does one thing and goes."""
    settings = from_env()
    found = pods_app(app, store, settings)
    if not is_shared(store or settings.store):
        raise InvalidInput(
            "memory:// lives and dies with one process; name a store that lasts with --store"
        )
    found.use(create=create)
    return found


@contextlib.contextmanager
def telling_of_a_new_store(fleet: FleetQ) -> Iterator[None]:
    """Say on stderr if the body made the store: in another folder it was another file."""
    existed = store_exists(fleet.where)
    yield
    if not existed:
        logs.tell(f"fleet-q: made a new store: {one_line(described(fleet.where))}")


def _load(reference: str | None) -> FleetQ | None:
    """The app that ``module:name`` names, looked for from the current folder too."""
    if reference is None:
        return None
    module_name, _, name = reference.partition(":")
    if not module_name or not name:
        raise InvalidInput(f"--app {reference!r} is not of the form module:app")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise InvalidInput(
            f"--app {reference}: importing {module_name} raised {type(error).__name__}: {error}"
        ) from error
    found = getattr(module, name, None)
    if not isinstance(found, FleetQ):
        raise InvalidInput(f"--app {reference}: {module_name} has no FleetQ named {name!r}")
    found.reference = reference
    return found
