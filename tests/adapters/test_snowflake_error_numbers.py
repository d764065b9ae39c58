"""Only the numbers that are listed as fatal stop a pod; every other error is retried."""

from __future__ import annotations

import pytest
from snowflake.connector import errors

from fleet_q.adapters.snowflake.errors import FATAL, NO_SIGN_IN, is_temporary, translated
from fleet_q.core.errors import (
    DataRefused,
    StoreContended,
    StoreError,
    StoreUnavailable,
    UnknownStoreError,
)

UNKNOWN = (0, 1, 2, 629, 1008, 100038, 200001, 390102, 394308, 999999)


def error_with(
    number: int, kind: type[errors.Error] = errors.ProgrammingError, state: str = "XX000"
) -> errors.Error:
    return kind("It is\nso.", errno=number, sqlstate=state)


@pytest.mark.parametrize("number", FATAL)
def test_fatal_error_says_what_to_do(number: int) -> None:
    error = translated(error_with(number))
    assert type(error) is StoreError
    assert str(error) == f"Snowflake: It is so. ({FATAL[number]})"
    assert not is_temporary(error_with(number))


@pytest.mark.parametrize("number", UNKNOWN)
def test_error_that_nobody_knows_is_retried(number: int) -> None:
    error = translated(error_with(number))
    assert type(error) is UnknownStoreError
    assert str(error).startswith("Snowflake: It is so. (error ")
    assert is_temporary(error_with(number))


@pytest.mark.parametrize("number", [603, 604, 630, 390112, 580_503])
def test_error_that_is_known_to_pass_is_retried(number: int) -> None:
    assert type(translated(error_with(number))) is StoreUnavailable


def test_any_cancelled_statement_is_retried() -> None:
    assert type(translated(error_with(999999, state="57014"))) is StoreUnavailable


def test_missing_answer_is_retried_whatever_its_number() -> None:
    for number in (0, NO_SIGN_IN, 251011, 999999):
        error = translated(error_with(number, errors.OperationalError))
        assert type(error) is StoreUnavailable


def test_full_queue_of_a_lock_is_told_apart() -> None:
    assert type(translated(error_with(625, state="57014"))) is StoreContended


@pytest.mark.parametrize("number", [100069, 100078])
def test_error_about_a_value_refuses_the_value_only(number: int) -> None:
    assert type(translated(error_with(number))) is DataRefused
