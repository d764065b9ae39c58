"""Fixtures of all tests: an environment without settings, and the stand-in for Snowflake."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

from tests.standin.client import (
    NO_CLOUD_DETECTION,
    NO_INTERPRETER,
    Schema,
    Standin,
    interpreter,
    shared,
)
from tests.tables import TABLES

# A shell starts background processes with SIGINT ignored; tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# An example may take any time on a busy machine, and all machines try the same ones.
settings.register_profile(
    "random", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("same", settings.get_profile("random"), derandomize=True, database=None)
settings.load_profile("same")


os.environ.update([NO_CLOUD_DETECTION])  # also before and after the tests' own variables

SLOW_FOLDERS: Final = ("standin", "processes", "fleet_on_snowflake", "browser")
"""All tests in them are slow."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full-size", action="store_true", help="run some slow tests at full size")
    parser.addoption("--pictures", metavar="DIR", help="keep pictures of the dashboard's pages")


@pytest.fixture
def full_size(request: pytest.FixtureRequest) -> bool:
    """Whether the tests that can be large are."""
    return bool(request.config.getoption("--full-size"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name in SLOW_FOLDERS:
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """Collect garbage less often, and not among the thousands of objects of the tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)


@pytest.fixture(autouse=True)
def _no_settings_from_environment() -> Iterator[None]:
    """Remove settings, so that no test uses a store or an account that they name."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("FLEET_Q_", "SNOWFLAKE_")):
                patch.delenv(name)
        patch.setenv(*NO_CLOUD_DETECTION)
        yield


@pytest.fixture(scope="session")
def standin() -> Standin:
    """The shared stand-in for Snowflake."""
    if interpreter() is None:
        pytest.skip(NO_INTERPRETER)
    return shared()


@pytest.fixture
def tables(standin: Standin) -> Iterator[Schema]:
    """A schema with empty tables, whose columns a test must not change."""
    schema = TABLES.take()
    yield schema
    TABLES.give_back(schema)


@pytest.fixture
def schema(standin: Standin) -> Iterator[Schema]:
    """A schema for this test in the stand-in."""
    schema = standin.schema()
    yield schema
    schema.drop()
