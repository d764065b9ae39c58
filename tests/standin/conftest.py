"""Fixtures: a table with two rows, and sessions that use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from .client import Schema
from .helpers import Driver

SignIn = Callable[..., Driver]


@pytest.fixture
def sign_in(schema: Schema) -> Iterator[SignIn]:
    with ExitStack() as opened:
        yield lambda **parameters: opened.enter_context(Driver(schema, **parameters))


@pytest.fixture
def one(sign_in: SignIn) -> Driver:
    driver = sign_in()
    driver.run("CREATE TABLE t (id VARCHAR(10) PRIMARY KEY, n NUMBER(38, 0) NOT NULL)")
    driver.run("CREATE TABLE other (id VARCHAR, n NUMBER(38, 0))")
    driver.run("INSERT INTO t (id, n) VALUES ('a', 1), ('b', 2)")
    return driver


@pytest.fixture
def two(one: Driver, sign_in: SignIn) -> Driver:
    return sign_in()
