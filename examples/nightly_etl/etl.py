"""Every night: loads the orders of the day before, from one API of each country, and reports."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Any

import source

from fleet_q import FleetQ, current_step

COUNTRIES = ["de", "fr", "it"]
WAREHOUSE = "warehouse.db"

app = FleetQ("sqlite:///etl.db")


@app.schedule("30 1 * * *", tz="Europe/Berlin")
@app.task("night")
def night(day: date | None = None) -> str:
    """The steps of one day: without one, of yesterday."""
    of = day or datetime.now(UTC).date() - timedelta(days=1)
    flow = app.workflow("night")
    loads = [load.options(queue="api", key=country).step(country, of) for country in COUNTRIES]
    flow.add(*loads).collect(report.step(of))
    return flow.spawn()


@app.task("load", max_retries=6, base_delay=30, retry_on=OSError)
def load(country: str, day: date) -> int:
    """Load page by page. A retry, on whichever pod, goes on at the page after the last one."""
    step = current_step()
    page, count = step.saved or (0, 0)
    while rows := source.orders(country, day, page):
        _store(country, day, page, rows)
        page, count = page + 1, count + len(rows)
        step.save((page, count))
        step.progress(text=f"{count} orders on {page} pages")
    return count


@app.task("report")
def report(day: date) -> dict[str, Any]:
    """How many orders each country had."""
    loads = current_step().parents
    counts = {app.status(step_id).payload["country"]: loads[step_id].result for step_id in loads}
    return {"day": day.isoformat(), "orders": counts}


def _store(country: str, day: date, page: int, rows: list[tuple[int, float]]) -> None:
    """Safe to repeat: a pod may die between this and the checkpoint."""
    with closing(sqlite3.connect(WAREHOUSE)) as connection, connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS orders"
            " (country TEXT, day TEXT, id INTEGER, amount REAL, PRIMARY KEY (country, id))"
        )
        connection.executemany(
            "INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?)",
            [(country, day.isoformat(), order_id, amount) for order_id, amount in rows],
        )


def backfill(first: date, days: int) -> list[str]:
    """Submit nights of the past. Their ids have the day, so each exists once."""
    wanted = [first + timedelta(days=number) for number in range(days)]
    return [night.options(step_id=f"night@{day}", priority=-1).submit(day) for day in wanted]
