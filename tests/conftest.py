"""What tests of all rooms share: the stand-in for Snowflake, and a schema of a test's own there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.standin.client import NOTHING_TO_RUN_IT, Schema, Standin, interpreter, shared


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
