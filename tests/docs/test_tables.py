"""The tables of settings, commands and routes are those of the code."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest
import typer
from fastapi import FastAPI
from typer.main import get_command

from fleet_q import FleetQ, Settings, create_http
from fleet_q.adapters.memory import MemoryStore
from fleet_q.core.settings import PREFIX
from fleet_q.services.cli.commands import cli
from fleet_q.services.http.scaler import create_scaler_http
from fleet_q.services.scaler.scaler import Scaler
from tests.docs import DOCS, first_cells

OPERATING: Final = DOCS / "operating.md"

DERIVED: Final = {
    "pod_id", "version", "store", "app", "max_processes", "table_prefix", "allowed_hosts",
    "api_keys_file", "tls_cert", "tls_key", "tls_client_ca", "alert_webhook",
}  # fmt: skip
"""Settings whose default is made of something else, or nothing, and is documented in words."""


def code(cell: str) -> list[str]:
    """The words of a cell that stand in backquotes."""
    return re.findall(r"`([^`]+)`", cell)


def test_every_setting_has_its_row_and_no_row_is_without_a_setting() -> None:
    variables = [name for name, *_ in first_cells(OPERATING, "Settings")]
    settings = [f"`{PREFIX}{field.upper()}`" for field in Settings.__struct_fields__]
    assert sorted(variables) == sorted(settings)


def test_settings_have_the_defaults_that_their_rows_say() -> None:
    defaults = {
        cells[0].strip("`").removeprefix(PREFIX).lower(): cells[1].strip("`")
        for cells in first_cells(OPERATING, "Settings")
    }
    for field in msgspec.structs.fields(Settings):
        if field.name not in DERIVED:
            assert defaults[field.name] == shown(field.default), field.name


def shown(default: Any) -> str:
    """A default as the table writes it."""
    if isinstance(default, float):
        return f"{default:g}"
    if default is None:
        return "never"
    return "" if default == () else str(default)


def test_every_command_has_its_row_and_no_row_is_without_a_command() -> None:
    documented = set[str]()
    for cells in first_cells(OPERATING, "Commands"):
        for words in code(cells[0]):
            documented.add(re.sub(r" (--.*|-)$", "", words.removeprefix("fleet-q ")))
    assert documented == set(commands(get_command(cli)))


def commands(command: Any, path: str = "") -> list[str]:
    """The names of all commands below one."""
    if not hasattr(command, "commands"):
        return [path.strip()]
    own = [path.strip()] if path and command.invoke_without_command else []
    return own + [
        name for key, sub in command.commands.items() for name in commands(sub, f"{path} {key}")
    ]


def scaler_http() -> FastAPI:
    settings = Settings()
    return create_scaler_http(Scaler(MemoryStore(), settings), settings, ("*",))


@pytest.mark.parametrize(
    ("heading", "create"),
    [
        ("Endpoints", lambda: create_http(FleetQ("memory://"))),
        ("The scaler", scaler_http),
    ],
)
def test_every_route_has_its_row_and_no_row_is_without_a_route(
    heading: str, create: Callable[[], FastAPI]
) -> None:
    assert documented_routes("http.md", heading) == routes_of(create())


@pytest.mark.parametrize(
    ("document", "heading"), [("http.md", "Leases"), ("by-hand.md", "For any language")]
)
def test_routes_of_leases_have_their_rows(document: str, heading: str) -> None:
    without = routes_of(create_http(FleetQ("memory://")))
    added = routes_of(create_http(FleetQ("memory://"), lease=True)) - without
    assert documented_routes(document, heading) == added


def documented_routes(document: str, heading: str) -> set[str]:
    return {route for cells in first_cells(DOCS / document, heading) for route in code(cells[0])}


def routes_of(http: FastAPI) -> set[str]:
    return {
        f"{method.upper()} {re.sub('{(step|workflow)_id}', '{id}', path)}"
        for path, methods in http.openapi()["paths"].items()
        for method in methods
        if method != "head"
    }


def test_command_tables_are_compared_with_the_whole_command_line() -> None:
    assert isinstance(cli, typer.Typer)
    assert "dlq replay" in commands(get_command(cli))
