"""What a pod logs: no handler of the service that it runs in keeps it waiting."""

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
    """Stands still, as one does whose pipe nobody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = threading.Event()
        self.entered = threading.Event()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.entered.set()
        assert self.goes_on.wait(LIMIT)
        self.said.append(record.getMessage())


@pytest.fixture
def blocking() -> Iterator[Blocking]:
    handler, logger = Blocking(), logging.getLogger("fleet_q.pod")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)
    handler.goes_on.set()
    assert wait_for_handlers(LIMIT)


def test_handler_that_blocks_keeps_nobody_waiting_and_gets_every_record(blocking: Blocking) -> None:
    log = CarefulLogger("fleet_q.pod")
    for number in range(100):
        log.error("%d", number)
    assert blocking.entered.wait(LIMIT)
    assert not wait_for_handlers(0)
    blocking.goes_on.set()
    assert wait_for_handlers(LIMIT)
    assert blocking.said == [str(number) for number in range(100)]


def test_records_that_wait_are_limited(blocking: Blocking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(careful_log, "MOST_WAITING", 10)
    log = CarefulLogger("fleet_q.pod")
    for number in range(100):
        log.error("%d", number)
    blocking.goes_on.set()
    assert wait_for_handlers(LIMIT)
    assert 10 <= len(blocking.said) <= 12


def test_stderr_that_blocks_keeps_nobody_waiting_where_no_handler_is_configured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    last_resort = Blocking()
    monkeypatch.setattr(logging, "lastResort", last_resort)
    monkeypatch.setattr(logging.root, "handlers", [])
    logging_ = threading.Thread(target=CarefulLogger("fleet_q.pod").error, args=("told",))
    logging_.start()
    logging_.join(LIMIT)
    was_kept_waiting = logging_.is_alive()
    last_resort.goes_on.set()
    assert wait_for_handlers(LIMIT)
    assert not was_kept_waiting
    assert last_resort.said == ["told"]


def test_pod_whose_services_handler_blocks_works_and_leaves(
    app: FleetQ, blocking: Blocking
) -> None:
    @app.task("fail", max_retries=0)
    def fail() -> None:
        raise ValueError("told in a log line")

    async def main() -> str:
        async with app.running():
            step_id = fail.submit()
            await asyncio.to_thread(app.wait, step_id, LIMIT)
        return app.status(step_id).status

    assert asyncio.run(main()) == "failed"
    assert blocking.said == []


def test_handler_that_raises_loses_its_record_only(caplog: pytest.LogCaptureFixture) -> None:
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


def test_record_tells_where_it_was_logged(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise KeyError("lost")
    except KeyError:
        CarefulLogger("fleet_q.pod").exception("oh")
    assert wait_for_handlers(LIMIT)
    (record,) = caplog.records
    assert record.pathname == __file__
    assert record.funcName == "test_record_tells_where_it_was_logged"
    assert record.exc_info is not None
    assert record.exc_info[0] is KeyError


def test_level_is_that_of_the_logger_of_the_same_name(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "fleet_q.pod"):
        CarefulLogger("fleet_q.pod").warning("not heard")
    assert wait_for_handlers(LIMIT)
    assert caplog.records == []
