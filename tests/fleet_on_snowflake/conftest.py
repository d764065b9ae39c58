"""Fixtures: a schema with the tables, and pods on it: by hand, in threads and in processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet_q.adapters.snowflake.store import SnowflakeStore
from tests.fleet_on_snowflake.by_hand import World, world_in
from tests.fleet_on_snowflake.threads import Fleet
from tests.processes.launcher import QUICK, Launcher
from tests.standin.client import QUICK_RETRIES, Schema


@pytest.fixture
def made(tables: Schema) -> Schema:
    tables.set(idle_abort=1)  # seconds until the locks of a killed pod are released
    return tables


@pytest.fixture
def store(made: Schema) -> Iterator[SnowflakeStore]:
    """A store for the test itself."""
    store = SnowflakeStore({**made.parameters, **QUICK_RETRIES})
    yield store
    store.close()


@pytest.fixture
def world(made: Schema) -> Iterator[World]:
    with world_in(made) as world:
        yield world


@pytest.fixture
def fleet(made: Schema) -> Iterator[Fleet]:
    """Pods in threads of this process, each with a session of its own."""
    fleet = Fleet(lambda: SnowflakeStore({**made.parameters, **QUICK_RETRIES}))
    yield fleet
    made.no_faults()
    made.set(times={})
    fleet.stop()


@pytest.fixture
def processes(made: Schema, tmp_path: Path) -> Iterator[Launcher]:
    """Pods in processes."""
    pods = Launcher(tmp_path, made.url, "tests.processes.tasks:app", QUICK | made.environment)
    yield pods
    pods.close()
