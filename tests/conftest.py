"""What tests of all rooms share: none sees the settings of whoever runs it; and the stand-in for
Snowflake, with a schema of a test's own there."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.standin.client import NOTHING_TO_RUN_IT, Schema, Standin, interpreter, shared


@pytest.fixture(autouse=True)
def _no_settings_of_the_user() -> Iterator[None]:
    """Or the tests would write to the store, or sign in to the account, that these name."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("FLEET_Q_", "SNOWFLAKE_")):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def standin() -> Standin:
    if interpreter() is None:
        pytest.skip(NOTHING_TO_RUN_IT)
    return shared()


@pytest.fixture
def schema(standin: Standin) -> Iterator[Schema]:
    made = standin.schema()
    yield made
    made.drop()
