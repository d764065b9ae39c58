"""What all tests share: no settings of whoever runs them, and the stand-in for Snowflake."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

from tests.standin.client import (
    LOOK_AT_NO_CLOUD,
    NOTHING_TO_RUN_IT,
    Schema,
    Standin,
    interpreter,
    shared,
)

# A shell lets what it starts in the background ignore SIGINT; here it is to interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine may take any time for an example.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


SLOW_FOLDERS: Final = ("standin", "processes", "fleet_on_snowflake")
"""All tests in them are slow."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name in SLOW_FOLDERS:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def _no_settings_of_the_user() -> Iterator[None]:
    """Or the tests would write to the store, or sign in to the account, that these name."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("FLEET_Q_", "SNOWFLAKE_")):
                patch.delenv(name)
        patch.setenv(*LOOK_AT_NO_CLOUD)
        yield


@pytest.fixture(scope="session")
def standin() -> Standin:
    """The stand-in for Snowflake that all tests share."""
    if interpreter() is None:
        pytest.skip(NOTHING_TO_RUN_IT)
    return shared()


@pytest.fixture
def schema(standin: Standin) -> Iterator[Schema]:
    """A schema of the test's own there."""
    made = standin.schema()
    yield made
    made.drop()
