"""Logging neither blocks nor raises, whatever becomes of what is written to."""

from __future__ import annotations

import errno
import io
import logging
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from fleet_q.services.worker import log_writer, logs
from fleet_q.services.worker.log_writer import LineHandler
from tests.waiting import LIMIT


class Stream(io.StringIO):
    """A stream without a file descriptor that may refuse, or block, for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.refuses: Exception | None = None
        self.lets_write = threading.Event()
        self.lets_write.set()

    def write(self, text: str) -> int:
        assert self.lets_write.wait(LIMIT)
        if self.refuses is not None:
            raise self.refuses
        return super().write(text)


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.fixture
def log(stream: Stream) -> logging.Logger:
    return _logger(stream)


def _logger(stream: TextIO) -> logging.Logger:
    handler = LineHandler(stream)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log = logging.Logger("apart")
    log.addHandler(handler)
    return log


def _flush(log: logging.Logger) -> None:
    (handler,) = log.handlers
    assert isinstance(handler, LineHandler)
    assert handler.wait(LIMIT)


def test_lines_are_written_in_order(log: logging.Logger, stream: Stream) -> None:
    for number in range(100):
        log.info(number)
    _flush(log)
    assert stream.getvalue().split() == [str(number) for number in range(100)]


def test_lines_are_kept_up_to_a_limit_while_nothing_can_be_written(
    log: logging.Logger, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "MOST_LINES", 10)
    stream.lets_write.clear()
    for number in range(50):
        log.info(number)
    (handler,) = log.handlers
    assert isinstance(handler, LineHandler)
    assert not handler.wait(0)
    stream.lets_write.set()
    _flush(log)
    log.info("again")
    _flush(log)
    *kept, notice, again = stream.getvalue().splitlines()
    assert kept == [str(number) for number in range(len(kept))]
    assert 10 <= len(kept) <= 11
    assert notice.startswith(f"{50 - len(kept)} log line(s)")
    assert again == "again"


def test_bytes_that_wait_are_limited_too(
    log: logging.Logger, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "MOST_BYTES", 10_000)
    stream.lets_write.clear()
    log.info("x" * 20_000)  # alone it may be larger: it is there already
    log.info("dropped")
    stream.lets_write.set()
    _flush(log)
    assert stream.getvalue().splitlines() == [
        "x" * 20_000,
        "1 log line(s) could not be written and were dropped",
    ]


def test_lines_that_a_full_disk_refused_are_counted_when_it_has_room_again(
    log: logging.Logger, stream: Stream
) -> None:
    log.info("first")
    _flush(log)
    stream.refuses = OSError(errno.ENOSPC, "No space left on device")
    for _ in range(3):
        log.info("lost")
    _flush(log)
    stream.refuses = None
    log.info("second")
    _flush(log)
    assert stream.getvalue().splitlines() == [
        "first",
        "3 log line(s) could not be written and were dropped",
        "second",
    ]


def test_a_closed_stream_is_no_trouble_of_who_logs(log: logging.Logger, stream: Stream) -> None:
    stream.close()
    log.info("nobody hears it")
    _flush(log)


def test_a_formatter_that_raises_loses_no_line(log: logging.Logger, stream: Stream) -> None:
    class Broken(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            raise RuntimeError("no")

    log.handlers[0].setFormatter(Broken())
    log.info("hello")
    _flush(log)
    assert stream.getvalue() == "a log record could not be formatted\n"


def test_record_that_takes_long_to_format_keeps_nobody_waiting(
    log: logging.Logger, stream: Stream
) -> None:
    class Slow:
        def __init__(self) -> None:
            self.entered, self.goes_on = threading.Event(), threading.Event()

        def __str__(self) -> str:
            self.entered.set()
            assert self.goes_on.wait(LIMIT)
            return "slow"

    slow = Slow()
    logging_slowly = threading.Thread(target=log.info, args=(slow,))
    logging_slowly.start()
    assert slow.entered.wait(LIMIT)
    quick = threading.Thread(target=log.info, args=("quick",))
    quick.start()
    quick.join(LIMIT)
    was_kept_waiting = quick.is_alive()
    slow.goes_on.set()
    logging_slowly.join(LIMIT)
    assert not was_kept_waiting
    _flush(log)
    assert stream.getvalue().splitlines() == ["quick", "slow"]


def test_handler_that_was_closed_writes_on(log: logging.Logger, stream: Stream) -> None:
    """``logging.config.dictConfig`` closes all handlers, also those that stay in use."""
    log.info("before")
    log.handlers[0].close()
    log.info("after")
    _flush(log)
    assert stream.getvalue().splitlines() == ["before", "after"]


@pytest.fixture
def pipe() -> Iterator[tuple[int, io.TextIOWrapper]]:
    reading, writing = os.pipe()
    with open(writing, "w", encoding="utf-8") as stream:
        yield reading, stream
    os.close(reading)


def test_a_pipe_that_nobody_reads_blocks_nobody(
    pipe: tuple[int, io.TextIOWrapper], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "MOST_LINES", 100)
    reading, stream = pipe
    log = _logger(stream)
    for number in range(1_000):
        log.info("%d %s", number, "x" * 1_000)
    (handler,) = log.handlers
    assert isinstance(handler, LineHandler)
    assert not handler.wait(0)
    seen = b""
    while len(kept := re.findall(rb"(?m)^\d+ x", seen)) + _missing(seen) < 1_000:
        seen += os.read(reading, 65_536)
    assert len(kept) + _missing(seen) == 1_000
    assert 100 <= len(kept) < 1_000


def _missing(log: bytes) -> int:
    return sum(int(count) for count in re.findall(rb"(\d+) log line", log))


def test_what_an_encoding_has_not_is_escaped(tmp_path: Path) -> None:
    with open(tmp_path / "log", "w", encoding="ascii") as stream:
        log = _logger(stream)
        log.info("caf\udce9 é")
        _flush(log)
    assert (tmp_path / "log").read_text() == "caf\\udce9 \\xe9\n"


def test_a_line_is_begun_anew_after_one_that_found_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(tmp_path / "log", "w", encoding="utf-8") as stream:
        log = _logger(stream)
        write, budget = os.write, [8]

        def scarce(number: int, data: bytes) -> int:
            if number != stream.fileno():
                return write(number, data)
            if not budget[0]:
                raise OSError(errno.ENOSPC, "No space left on device")
            written = write(number, data[: budget[0]])
            budget[0] -= written
            return written

        monkeypatch.setattr(os, "write", scarce)
        log.info("first")
        log.info("second")
        _flush(log)
        budget[0] = 1_000
        log.info("third")
        _flush(log)
    assert (tmp_path / "log").read_text().splitlines() == [
        "first",
        "se",
        "1 log line(s) could not be written and were dropped",
        "third",
    ]


def test_a_forked_child_writes_its_own_lines_and_none_of_its_parents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(tmp_path / "log", "a", encoding="utf-8") as stream:
        log = _logger(stream)
        monkeypatch.setattr(logging.root, "handlers", log.handlers)
        log.info("parent")
        child = os.fork()
        if child == 0:
            log.info("child")
            os._exit(0 if logs.flush(LIMIT) else 1)
        assert os.waitpid(child, 0)[1] == 0
        _flush(log)
    assert sorted((tmp_path / "log").read_text().split()) == ["child", "parent"]
