"""What functions in child processes print, as records of a log."""

from __future__ import annotations

import io
import logging

import pytest

from fleet_q.services.child.printed import LONGEST, PrintedLines


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def printed(stream: io.StringIO) -> PrintedLines:
    return PrintedLines(stream, "stdout", logging.INFO)


def test_each_line_is_a_record_and_the_last_one_ends_with_the_function(
    printed: PrintedLines, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        print("a", 1, end="", file=printed)
        print("b\n\nc", end="", file=printed)
        printed.finish()
        printed.finish()
    assert [record.getMessage() for record in caplog.records] == ["a 1b", "", "c"]


def test_text_without_line_breaks_becomes_records_before_it_is_too_long(
    printed: PrintedLines, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        printed.write("x" * (LONGEST + 1))
    assert len(caplog.records) == 1


def test_handler_that_prints_does_not_make_records_of_it(
    printed: PrintedLines, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Printing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            print("handling", file=printed)

    logger = logging.getLogger("stdout")
    monkeypatch.setattr(logger, "handlers", [Printing()])
    monkeypatch.setattr(logger, "level", logging.INFO)
    logger.manager._clear_cache()  # type: ignore[attr-defined]
    print("line", file=printed)
    assert stream.getvalue() == "handling\n"
