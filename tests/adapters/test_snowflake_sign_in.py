"""Signing in to Snowflake with session parameters, some of which an account may not have."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import snowflake.connector
from snowflake.connector import errors

from fleet_q.adapters.snowflake.connection import connection_parameters
from fleet_q.adapters.snowflake.parameters import (
    QUEUE_TIMEOUT,
    SESSION_PARAMETERS,
    STATEMENT_TIMEOUT,
    SignIn,
)
from fleet_q.adapters.snowflake.traits import LOCK_TIMEOUT, SHORTEST_SYNC

PARAMETERS = connection_parameters("snowflake://account", tag="pod", env={})

Refuses = Callable[[dict[str, Any]], Exception | None]


def account(monkeypatch: pytest.MonkeyPatch, refuses: Refuses) -> list[dict[str, Any]]:
    """An account that refuses some sign-ins. Returns the session parameters of all of them."""
    tried: list[dict[str, Any]] = []

    def connect(**parameters: Any) -> object:
        tried.append(parameters["session_parameters"])
        if (error := refuses(tried[-1])) is not None:
            raise error
        return object()

    monkeypatch.setattr(snowflake.connector, "connect", connect)
    return tried


def without(*names: str) -> dict[str, Any]:
    """The session parameters without these."""
    every = {**SESSION_PARAMETERS, "QUERY_TAG": "pod", "TIMEZONE": "UTC"}
    return {name: value for name, value in every.items() if name not in names}


def refuses_by_name(*names: str) -> Refuses:
    def refuses(parameters: dict[str, Any]) -> Exception | None:
        for name in names:
            if name in parameters:
                return errors.DatabaseError(f"invalid parameter '{name.lower()}'", errno=1008)
        return None

    return refuses


def test_session_gets_all_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = account(monkeypatch, lambda _: None)
    SignIn(PARAMETERS).connect()
    assert tried == [without()]


def test_statement_may_wait_for_slot_and_lock_before_it_times_out() -> None:
    assert STATEMENT_TIMEOUT > QUEUE_TIMEOUT + LOCK_TIMEOUT + 100 * SHORTEST_SYNC


def test_parameters_given_by_the_user_win(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = account(monkeypatch, lambda _: None)
    SignIn({"session_parameters": {"LOCK_TIMEOUT": 5}}).connect()
    assert tried == [{**SESSION_PARAMETERS, "LOCK_TIMEOUT": 5}]


@pytest.mark.parametrize(
    "unknown",
    [("READ_LATEST_WRITES",), ("HYBRID_TABLE_LOCK_TIMEOUT", "READ_LATEST_WRITES")],
)
def test_parameter_that_the_account_does_not_have_is_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, unknown: tuple[str, ...]
) -> None:
    tried = account(monkeypatch, refuses_by_name(*unknown))
    sign_in = SignIn(PARAMETERS)
    with caplog.at_level(logging.WARNING, "fleet_q.snowflake"):
        sign_in.connect()
        sign_in.connect()
    assert tried[-2:] == [without(*unknown)] * 2
    assert len(tried) == len(unknown) + 2
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == len(unknown)
    for name, message in zip(unknown, messages, strict=True):
        assert f"session parameter(s) {name}, which" in message


def test_name_within_a_longer_name_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = account(monkeypatch, refuses_by_name("HYBRID_TABLE_LOCK_TIMEOUT"))
    SignIn(PARAMETERS).connect()
    assert tried[-1] == without("HYBRID_TABLE_LOCK_TIMEOUT")


def test_unknown_error_without_a_name_is_tried_without_optional_parameters(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuses(parameters: dict[str, Any]) -> Exception | None:
        return errors.DatabaseError("no", errno=123456) if "LOCK_TIMEOUT" in parameters else None

    tried = account(monkeypatch, refuses)
    SignIn(PARAMETERS).connect()
    assert tried == [without(), without(*SESSION_PARAMETERS)]
    assert all(name in caplog.text for name in SESSION_PARAMETERS)


@pytest.mark.parametrize(
    "error",
    [
        errors.DatabaseError("incorrect password", errno=390100),
        errors.OperationalError("no answer", errno=250001),
    ],
    ids=["fatal", "passing"],
)
def test_known_error_is_raised_at_once(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    tried = account(monkeypatch, lambda _: error)
    with pytest.raises(type(error)):
        SignIn(PARAMETERS).connect()
    assert tried == [without()]


def test_unknown_error_that_the_parameters_do_not_cause_leaves_them_in(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answers = [errors.DatabaseError("no", errno=123456)] * 2
    tried = account(monkeypatch, lambda _: answers.pop() if answers else None)
    sign_in = SignIn(PARAMETERS)
    with pytest.raises(errors.DatabaseError):
        sign_in.connect()
    sign_in.connect()
    assert tried[-1] == without()
    assert not caplog.records
