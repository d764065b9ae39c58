"""The tests of the example: a night of ETL takes milliseconds, as the clock is virtual."""

import sqlite3
from contextlib import closing
from datetime import date

import pytest
import source
from etl import WAREHOUSE, backfill, load, report


@pytest.fixture(autouse=True)
def warehouse(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def rows() -> int:
    with closing(sqlite3.connect(WAREHOUSE)) as connection:
        return connection.execute("SELECT count(*) FROM orders").fetchone()[0]


def test_schedule_loads_all_countries_and_reports(fleet):
    fleet.drain(until="2026-11-29T06:00:00Z")
    (step,) = fleet.submitted(report)
    result = report.result(step.step_id)
    assert result["orders"] == {"de": 300, "fr": 300, "it": 300}
    assert rows() == 900


def test_retry_goes_on_at_the_page_that_failed(fleet, monkeypatch):
    asked = []
    answer = source.orders

    def orders(country, day, page):
        asked.append(page)
        if asked == [0, 1]:
            raise ConnectionError("the API is away")
        return answer(country, day, page)

    monkeypatch.setattr(source, "orders", orders)
    step_id = load.submit("de", date(2026, 11, 27))
    fleet.drain()
    assert load.result(step_id) == 300
    assert asked == [0, 1, 1, 2, 3]


def test_backfill_submits_each_day_once(fleet):
    assert backfill(date(2026, 11, 1), 7) == backfill(date(2026, 11, 1), 7)
    fleet.drain()
    assert rows() == 7 * 900
