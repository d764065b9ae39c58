"""A schema of a test's own, with the tables in it."""

from __future__ import annotations

import pytest

from fleet_q.adapters.snowflake.apply import apply
from fleet_q.adapters.snowflake.session import Session
from fleet_q.adapters.snowflake.statements import Statements
from tests.standin.client import Schema


@pytest.fixture
def made(schema: Schema) -> Schema:
    session = Session(schema.parameters, Statements())
    list(apply(session))
    session.close()
    schema.forget()
    return schema
