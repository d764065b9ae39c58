"""How long the first page of a list of steps takes in a long history."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.core.search import StepFilter
from fleet_q.core.step import Submit
from tests.benchmarks.cases.case import Figure, Measured, Measurement
from tests.benchmarks.results import Results
from tests.benchmarks.sizes import Sizes
from tests.benchmarks.stores import Stores
from tests.benchmarks.systems import OURS
from tests.benchmarks.systems.system import System

LIMIT: Final = 100
REPETITIONS: Final = 20

FILTERS: Final[Mapping[str, StepFilter]] = {
    "all": StepFilter(),
    "completed": StepFilter(statuses=("completed",)),
    "failed": StepFilter(statuses=("failed",)),
    "a type that no step has": StepFilter(task_types=("none",)),
    "a label that no step has": StepFilter(labels=(("day", "1"),)),
    "a prefix that every id has": StepFilter(id_prefix="step"),
}

_COPIES: Final = """
INSERT INTO step_tracker ({columns})
WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {count})
SELECT {values} FROM step_tracker, number WHERE step_id = 'step'
"""


def figure(what: str, count: int) -> Figure:
    """The time of the first page of one of :data:`FILTERS`."""
    return Figure(f"list, {what}, of {count:,}", "ms")


def slowest(results: Results, count: int) -> float | None:
    """The time of the slowest of these pages; ``None``: they were not measured."""
    values = [results.value(figure(what, count)) for what in FILTERS]
    return max((value for value in values if value is not None), default=None)


def measurements(
    systems: Sequence[type[System]], sizes: Sizes, stores: Stores
) -> list[Measurement]:
    """First pages of FLEET-Q's lists; other queues have none."""
    count = sizes.backlogs[-1]
    figures = {what: figure(what, count) for what in FILTERS}

    def measure(system: type[System]) -> Measured:
        with stores.empty() as folder:
            file = folder / "history.db"
            _fill(file, count)
            with closing(SqliteStore(file)) as store:
                return Measured(
                    {figures[what]: _times(store, selected) for what, selected in FILTERS.items()}
                )

    ours = [system for system in systems if system.name == OURS]
    return [Measurement(list(figures.values()), ours, measure, once=True)]


def _times(store: SqliteStore, selected: StepFilter) -> list[float]:
    times: list[float] = []
    for _ in range(REPETITIONS):
        began = time.perf_counter()
        store.list_steps(selected, LIMIT)
        times.append((time.perf_counter() - began) * 1_000)
    return times


def _fill(file: Path, count: int) -> None:
    """Make a history of completed steps, as copies of one row: only the rows are read."""
    with closing(SqliteStore(file)) as store:
        store.submit([Submit("step", '{"task_type":"resize","file":"data.csv"}')])
    with closing(sqlite3.connect(file)) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(step_tracker)")]
        own = {"step_id": "'step' || n", "status": "'completed'", "created_ts": "created_ts + n"}
        values = [own.get(column, column) for column in columns]
        connection.execute(
            _COPIES.format(columns=", ".join(columns), values=", ".join(values), count=count - 1)
        )
        connection.commit()
