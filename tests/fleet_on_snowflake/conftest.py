"""A schema of a test's own, with the tables in it, and pods on it: threads and processes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from fleet_q.adapters.snowflake.migrate import migrate
from fleet_q.adapters.snowflake.session import Session
from fleet_q.adapters.snowflake.statements import Statements
from fleet_q.adapters.snowflake.store import SnowflakeStore
from tests.fleet_on_snowflake.threads import Fleet
from tests.processes.launcher import QUICK, Launcher
from tests.standin.client import Schema

SOON: Final[dict[str, Any]] = {"backoff_policy": lambda: itertools.repeat(0.05)}
"""How long connector 4.x waits before it repeats a request; 5.x is as quick by itself."""


@pytest.fixture
def made(schema: Schema) -> Schema:
    session = Session(schema.parameters, Statements())
    list(migrate(session))
    session.close()
    schema.set(idle_abort=1)  # what a killed pod has locked is free so soon
    schema.forget()
    return schema


@pytest.fixture
def store(made: Schema) -> Iterator[SnowflakeStore]:
    """A store that no pod uses."""
    store = SnowflakeStore({**made.parameters, **SOON})
    yield store
    store.close()


@pytest.fixture
def fleet(made: Schema) -> Iterator[Fleet]:
    """Pods in threads of this process, each with a session of its own."""
    fleet = Fleet(lambda: SnowflakeStore({**made.parameters, **SOON}))
    yield fleet
    made.no_faults()
    made.set(latency=0)
    fleet.stop()


@pytest.fixture
def processes(made: Schema, tmp_path: Path) -> Iterator[Launcher]:
    """Pods as processes of their own."""
    pods = Launcher(tmp_path, made.url, "tests.processes.tasks:app", QUICK | made.environment)
    yield pods
    pods.close()
