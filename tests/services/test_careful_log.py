"""No log handler blocks a pod."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator

import pytest

from fleet_q import FleetQ
from fleet_q.services.worker import careful_log
from fleet_q.services.worker.careful_log import CarefulLogger, wait_for_handlers
from tests.waiting import LIMIT


class Blocking(logging.Handler):
    """Blocks, like a handler that writes to a full pipe."""

    def __init__(self) -> None:
        super().__init__()
        self.may_end = threading.Event()
        self.entered = threading.Event()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.entered.set()
        assert self.may_end.wait(LIMIT)
        self.messages.append(record.getMessage())


@pytest.fixture
def blocking() -> Iterator[Blocking]:
    handler, logger = Blocking(), logging.getLogger("fleet_q.pod")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)
    handler.may_end.set()
    assert wait_for_handlers(LIMIT)


def test_blocking_handler_gets_every_record_and_does_not_block_logging(blocking: Blocking) -> None:
    log = CarefulLogger("fleet_q.pod")
    for number in range(100):
        log.error("%d", number)
    assert blocking.entered.wait(LIMIT)
    assert not wait_for_handlers(0)
    blocking.may_end.set()
    assert wait_for_handlers(LIMIT)
    assert blocking.messages == [str(number) for number in range(100)]


def test_number_of_waiting_records_is_limited(
    blocking: Blocking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(careful_log, "MOST_WAITING", 10)
    log = CarefulLogger("fleet_q.pod")
    for number in range(100):
        log.error("%d", number)
    blocking.may_end.set()
    assert wait_for_handlers(LIMIT)
    assert 10 <= len(blocking.messages) <= 12


def test_blocking_stderr_does_not_block_logging_without_handlers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    last_resort = Blocking()
    monkeypatch.setattr(logging, "lastResort", last_resort)
    monkeypatch.setattr(logging.root, "handlers", [])
    thread = threading.Thread(target=CarefulLogger("fleet_q.pod").error, args=("message",))
    thread.start()
    thread.join(LIMIT)
    was_blocked = thread.is_alive()
    last_resort.may_end.set()
    assert wait_for_handlers(LIMIT)
    assert not was_blocked
    assert last_resort.messages == ["message"]


def test_pod_works_and_leaves_while_a_log_handler_blocks(app: FleetQ, blocking: Blocking) -> None:
    @app.task("fail", max_retries=0)
    def fail() -> None:
        raise ValueError("logged")

    async def main() -> str:
        async with app.running():
            step_id = fail.submit()
            await asyncio.to_thread(app.wait, step_id, LIMIT)
        return app.status(step_id).status

    assert asyncio.run(main()) == "failed"
    assert blocking.messages == []


def test_handler_that_raises_loses_only_its_record(caplog: pytest.LogCaptureFixture) -> None:
    class Raising(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise SystemExit

    logger, handler = logging.getLogger("fleet_q.pod"), Raising()
    logger.addHandler(handler)
    try:
        CarefulLogger("fleet_q.pod").error("one")
        assert wait_for_handlers(LIMIT)
    finally:
        logger.removeHandler(handler)
    CarefulLogger("fleet_q.pod").error("two")
    assert wait_for_handlers(LIMIT)
    assert [record.getMessage() for record in caplog.records] == ["two"]


def test_record_names_the_line_that_logged_it(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise KeyError("lost")
    except KeyError:
        CarefulLogger("fleet_q.pod").exception("oh")
    assert wait_for_handlers(LIMIT)
    (record,) = caplog.records
    assert record.pathname == __file__
    assert record.funcName == "test_record_names_the_line_that_logged_it"
    assert record.exc_info is not None
    assert record.exc_info[0] is KeyError


def test_level_of_the_named_logger_applies(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "fleet_q.pod"):
        CarefulLogger("fleet_q.pod").warning("below the level")
    assert wait_for_handlers(LIMIT)
    assert caplog.records == []
