"""Logging neither blocks nor raises when the stream blocks or fails."""

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
from tests.waiting import LIMIT, wait_until


class Stream(io.StringIO):
    """A stream without a file descriptor whose writes can be made to fail or block."""

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None
        self.may_write = threading.Event()
        self.may_write.set()

    def write(self, text: str) -> int:
        assert self.may_write.wait(LIMIT)
        if self.error is not None:
            raise self.error
        return super().write(text)


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.fixture
def log(stream: Stream) -> Iterator[logging.Logger]:
    log = _logger(stream)
    yield log
    log.handlers[0].close()


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


def test_lines_are_queued_up_to_a_limit_while_writing_blocks(
    log: logging.Logger, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "MOST_LINES", 10)
    stream.may_write.clear()
    for number in range(50):
        log.info(number)
    (handler,) = log.handlers
    assert isinstance(handler, LineHandler)
    assert not handler.wait(0)
    stream.may_write.set()
    _flush(log)
    log.info("again")
    _flush(log)
    *kept, notice, again = stream.getvalue().splitlines()
    assert kept == [str(number) for number in range(len(kept))]
    assert 10 <= len(kept) <= 11
    assert notice.startswith(f"{50 - len(kept)} log line(s)")
    assert again == "again"


def test_queued_bytes_are_limited(
    log: logging.Logger, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "MOST_BYTES", 10_000)
    stream.may_write.clear()
    log.info("x" * 20_000)  # a single line may exceed the limit
    log.info("dropped")
    stream.may_write.set()
    _flush(log)
    assert stream.getvalue().splitlines() == [
        "x" * 20_000,
        "1 log line(s) could not be written and were dropped",
    ]


def test_lines_lost_to_a_full_disk_are_counted_when_writing_succeeds_again(
    log: logging.Logger, stream: Stream
) -> None:
    log.info("first")
    _flush(log)
    stream.error = OSError(errno.ENOSPC, "No space left on device")
    for _ in range(3):
        log.info("lost")
    _flush(log)
    stream.error = None
    log.info("second")
    _flush(log)
    assert stream.getvalue().splitlines() == [
        "first",
        "3 log line(s) could not be written and were dropped",
        "second",
    ]


def test_logging_to_a_closed_stream_does_not_raise(log: logging.Logger, stream: Stream) -> None:
    stream.close()
    log.info("not written")
    _flush(log)


def test_formatter_that_raises_still_writes_a_line(log: logging.Logger, stream: Stream) -> None:
    class Broken(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            raise RuntimeError("no")

    log.handlers[0].setFormatter(Broken())
    log.info("hello")
    _flush(log)
    assert stream.getvalue() == "a log record could not be formatted\n"


def test_slow_formatting_does_not_block_other_threads(log: logging.Logger, stream: Stream) -> None:
    class Slow:
        def __init__(self) -> None:
            self.entered, self.may_end = threading.Event(), threading.Event()

        def __str__(self) -> str:
            self.entered.set()
            assert self.may_end.wait(LIMIT)
            return "slow"

    slow = Slow()
    logging_slowly = threading.Thread(target=log.info, args=(slow,))
    logging_slowly.start()
    assert slow.entered.wait(LIMIT)
    quick = threading.Thread(target=log.info, args=("quick",))
    quick.start()
    quick.join(LIMIT)
    was_blocked = quick.is_alive()
    slow.may_end.set()
    logging_slowly.join(LIMIT)
    assert not was_blocked
    _flush(log)
    assert stream.getvalue().splitlines() == ["quick", "slow"]


def test_closed_handler_continues_to_write(log: logging.Logger, stream: Stream) -> None:
    """``logging.config.dictConfig`` closes all handlers, even those that stay in use."""
    log.info("before")
    log.handlers[0].close()
    log.info("after")
    _flush(log)
    assert stream.getvalue().splitlines() == ["before", "after"]


def _writers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "fleet-q-logs"]


def test_closed_handler_ends_its_thread_when_all_lines_are_written(stream: Stream) -> None:
    others = _writers()
    log = _logger(stream)
    stream.may_write.clear()
    log.info("one")
    log.handlers[0].close()
    log.info("two")
    (thread,) = [writer for writer in _writers() if writer not in others]
    stream.may_write.set()
    thread.join(LIMIT)
    assert not thread.is_alive()
    assert stream.getvalue().splitlines() == ["one", "two"]


def test_message_outside_of_the_log_leaves_no_thread(capsys: pytest.CaptureFixture[str]) -> None:
    others = _writers()
    logs.tell("hello")
    assert capsys.readouterr().err == "hello\n"
    wait_until(lambda: set(_writers()) <= set(others))


@pytest.fixture
def pipe() -> Iterator[tuple[int, io.TextIOWrapper]]:
    reading, writing = os.pipe()
    with open(writing, "w", encoding="utf-8") as stream:
        yield reading, stream
    os.close(reading)


def test_full_pipe_does_not_block_logging(
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
    output = b""
    while len(kept := re.findall(rb"(?m)^\d+ x", output)) + _missing(output) < 1_000:
        output += os.read(reading, 65_536)
    assert len(kept) + _missing(output) == 1_000
    assert 100 <= len(kept) < 1_000


def _missing(log: bytes) -> int:
    return sum(int(count) for count in re.findall(rb"(\d+) log line", log))


def test_characters_missing_in_the_encoding_are_escaped(tmp_path: Path) -> None:
    with open(tmp_path / "log", "w", encoding="ascii") as stream:
        log = _logger(stream)
        log.info("caf\udce9 é")
        _flush(log)
    assert (tmp_path / "log").read_text() == "caf\\udce9 \\xe9\n"


def test_line_after_a_partial_write_starts_on_a_new_line(
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


def test_forked_process_writes_its_own_lines_only(
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
