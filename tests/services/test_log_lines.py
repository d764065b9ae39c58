"""One record is one line, whatever it holds."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from typing import Any

import pytest

from fleet_q.services.worker.log_lines import JsonFormatter, Tagging, TextFormatter
from tests.services.hostile_text import HOSTILE, SEPARATORS, is_harmless

Shown = Callable[..., str]


class Unprintable:
    def __str__(self) -> str:
        raise ValueError("no text for you")

    __repr__ = __str__


def _record(
    message: object, *args: object, exc_info: Any = None, **more: object
) -> logging.LogRecord:
    record = logging.LogRecord("mine", logging.ERROR, "", 0, message, args, exc_info)
    record.__dict__.update(more)
    Tagging("pod-1").filter(record)
    return record


def _raised(error: BaseException) -> Any:
    try:
        raise error
    except BaseException:
        return sys.exc_info()


@pytest.fixture(params=["text", "json"])
def shown(request: pytest.FixtureRequest) -> Shown:
    """What the formatter makes of a record: one line, as UTF-8 has it."""

    def shown(*args: object, **more: object) -> str:
        formatter = TextFormatter() if request.param == "text" else JsonFormatter()
        line = formatter.format(_record(*args, **more))
        assert is_harmless(line), line
        line.encode()
        if request.param == "json":
            assert json.loads(line)["pod"]
        return line

    return shown


@pytest.mark.parametrize("text", HOSTILE)
def test_record_is_one_line_without_control_characters(shown: Shown, text: str) -> None:
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
        shown(message, **record)


def test_traceback_is_part_of_its_line(shown: Shown) -> None:
    line = shown("it happened", exc_info=_raised(KeyError("lost")))
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
def test_record_that_cannot_be_formatted_is_a_line_that_says_so(
    shown: Shown, message: object, args: tuple[object, ...]
) -> None:
    line = shown(message, *args)
    assert "read" in line or "Unprintable" in line
    assert "cannot be formatted" in line


def test_exception_that_cannot_be_formatted_is_a_line(shown: Shown) -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    assert "it happened" in shown("it happened", exc_info=_raised(Broken()))
    assert "it happened" in shown("it happened", exc_info=(1, 2, 3))


@pytest.mark.parametrize("value", [Unprintable(), object(), b"\xff", {1: Unprintable()}, 10**400])
def test_tag_of_any_type_is_shown(shown: Shown, value: object) -> None:
    shown("hello", step=value)


def test_text_tag_cannot_be_taken_for_others() -> None:
    line = TextFormatter().format(_record("hello", step='a" pod=other'))
    assert line.endswith(r' - mine - ERROR - hello pod=pod-1 step="a\" pod=other"')


@pytest.mark.parametrize("separator", SEPARATORS)
def test_json_line_reads_back_as_what_was_logged(separator: str) -> None:
    line = JsonFormatter().format(_record(f"a{separator}b"))
    assert json.loads(line)["message"] == f"a{separator}b"
