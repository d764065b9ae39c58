"""A log record is one line, whatever it contains."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from typing import Any

import pytest

from fleet_q.services.worker.log_lines import JsonFormatter, Tagging, TextFormatter
from tests.services.hostile_text import HOSTILE, SEPARATORS, is_harmless

Formatted = Callable[..., str]


class Unprintable:
    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


def _record(
    message: object, *args: object, exc_info: Any = None, **attributes: object
) -> logging.LogRecord:
    record = logging.LogRecord("mine", logging.ERROR, "", 0, message, args, exc_info)
    record.__dict__.update(attributes)
    Tagging("pod-1").filter(record)
    return record


def _raised(error: BaseException) -> Any:
    try:
        raise error
    except BaseException:
        return sys.exc_info()


@pytest.fixture(params=["text", "json"])
def formatted(request: pytest.FixtureRequest) -> Formatted:
    """Format a record, and check that it is one harmless line that UTF-8 can encode."""

    def formatted(*args: object, **attributes: object) -> str:
        formatter = TextFormatter() if request.param == "text" else JsonFormatter()
        line = formatter.format(_record(*args, **attributes))
        assert is_harmless(line), line
        line.encode()
        if request.param == "json":
            assert json.loads(line)["pod"]
        return line

    return formatted


@pytest.mark.parametrize("text", HOSTILE)
def test_record_is_one_line_without_control_characters(formatted: Formatted, text: str) -> None:
    for record in (
        {"message": f"a{text}b"},
        {"message": "a", "exc_info": _raised(ValueError(f"a{text}b"))},
        {"message": "a", "step": f"a{text}b"},
        {"message": "a", "pod": f"a{text}b"},
        {"message": "a", "name": f"a{text}b"},
        {"message": "a", "levelname": f"a{text}b"},
        {"message": "a", "stack_info": f"a{text}b"},
    ):
        message = record.pop("message")
        formatted(message, **record)


def test_traceback_is_part_of_the_line(formatted: Formatted) -> None:
    line = formatted("it happened", exc_info=_raised(KeyError("lost")))
    assert "it happened" in line
    assert "Traceback (most recent call last):\\n" in line
    assert "KeyError: 'lost'" in line


@pytest.mark.parametrize(
    ("message", "args"),
    [
        ("read %d of %s", ("many",)),
        ("read %s", (Unprintable(),)),
        ("read", ("too", "many")),
        (Unprintable(), ()),
        ("read %(name)s", ({"other": 1},)),
    ],
)
def test_record_that_cannot_be_formatted_names_the_reason(
    formatted: Formatted, message: object, args: tuple[object, ...]
) -> None:
    line = formatted(message, *args)
    assert "read" in line or "Unprintable" in line
    assert "cannot be formatted" in line


def test_exception_that_cannot_be_formatted_keeps_its_message(formatted: Formatted) -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    assert "it happened" in formatted("it happened", exc_info=_raised(Broken()))
    assert "it happened" in formatted("it happened", exc_info=(1, 2, 3))


@pytest.mark.parametrize("value", [Unprintable(), object(), b"\xff", {1: Unprintable()}, 10**400])
def test_tag_can_be_of_any_type(formatted: Formatted, value: object) -> None:
    formatted("hello", step=value)


def test_tag_with_spaces_and_quotes_is_quoted_in_text() -> None:
    line = TextFormatter().format(_record("hello", step='a" pod=other'))
    assert line.endswith(r' - mine - ERROR - hello pod=pod-1 step="a\" pod=other"')


@pytest.mark.parametrize("separator", SEPARATORS)
def test_json_line_decodes_to_the_logged_message(separator: str) -> None:
    line = JsonFormatter().format(_record(f"a{separator}b"))
    assert json.loads(line)["message"] == f"a{separator}b"
