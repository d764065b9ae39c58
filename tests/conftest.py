"""No test sees the settings of whoever runs the tests."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _no_settings_of_the_user() -> Iterator[None]:
    """Or the tests would write to the store, or sign in to the account, that these name."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("FLEET_Q_", "SNOWFLAKE_")):
                patch.delenv(name)
        yield
