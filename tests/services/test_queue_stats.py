"""What waits and runs in each queue: from Python, HTTP and the command line."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from starlette.testclient import TestClient

from fleet_q import FleetQ
from fleet_q.core.lifecycle import STEP_STATUSES
from fleet_q.services.app.queue_stats import QueueStatsView, TypeStatsView
from fleet_q.services.cli.queue_table import table
from tests.services.conftest import Command, Run, api_of
from tests.services.hostile_text import HOSTILE, is_harmless


def row(queue: str = "default", task_type: str | None = "t", **values: Any) -> TypeStatsView:
    numbers: dict[str, Any] = dict.fromkeys(("pending", "delayed", "waiting", "claimed"), 0)
    numbers |= {"failed": 0, "completed_lately": 0, "failed_lately": 0}
    numbers |= {"oldest_age": None, "time_left": None, "paused": False, "unserved": False}
    return TypeStatsView(queue, task_type, **{**numbers, **values})


def lines(*rows: TypeStatsView, width: float = float("inf")) -> list[str]:
    counts = dict.fromkeys(STEP_STATUSES, 0)
    view = QueueStatsView(**counts, inbox=0, window=600.0, queues=list(rows))
    return [line.plain for line in table(view, width)]


def test_steps_are_counted_by_queue_and_type(app: FleetQ, run: Run) -> None:
    app.task("quick")(lambda: None)
    run(app.submit({"task_type": "quick"}))
    app.submit({"task_type": "resize"}, queue="gpu")
    app.submit({"task_type": "resize"}, queue="gpu", delay=60)
    app.submit({})
    stats = app.queue_stats()
    assert stats.window == 600
    assert {status: getattr(stats, status) for status in STEP_STATUSES} == app.queue()
    assert [(each.queue, each.task_type, each.pending, each.delayed) for each in stats.queues] == [
        ("default", None, 1, 0),
        ("default", "quick", 0, 0),
        ("gpu", "resize", 2, 1),
    ]
    assert [each.completed_lately for each in stats.queues] == [0, 1, 0]
    assert [each.time_left for each in stats.queues] == [None, 0, None]


def test_time_left_of_a_paused_queue_is_not_estimated(app: FleetQ, run: Run) -> None:
    app.task("quick")(lambda: None)
    run(app.submit({"task_type": "quick"}))
    app.submit({"task_type": "quick"})
    (running,) = app.queue_stats().queues
    assert (running.paused, running.time_left is not None) == (False, True)
    app.queues.pause("default")
    (paused,) = app.queue_stats().queues
    assert (paused.paused, paused.time_left) == (True, None)


def test_admin_queue_has_the_counts_and_those_of_each_queue(app: FleetQ) -> None:
    app.submit({"task_type": "t"}, queue="gpu")
    answer = TestClient(api_of(app)).get("/admin/queue").json()
    assert {status: answer[status] for status in STEP_STATUSES} == app.queue()
    assert answer["window"] == 600
    (queue,) = answer["queues"]
    assert queue.pop("oldest_age") >= 0
    assert queue == {
        "queue": "gpu",
        "task_type": "t",
        "pending": 1,
        "delayed": 0,
        "waiting": 0,
        "claimed": 0,
        "failed": 0,
        "completed_lately": 0,
        "failed_lately": 0,
        "time_left": None,
        "paused": False,
        "unserved": True,
    }


def test_queue_prints_totals_and_a_line_for_each_queue_and_type(fleet_q: Command) -> None:
    fleet_q("submit", '{"task_type": "resize"}', "--queue", "gpu")
    fleet_q("submit", "{}")
    code, out, err = fleet_q("queue")
    assert (code, err) == (0, "")
    printed = [line.split() for line in out.splitlines()]
    assert printed[:7] == [
        ["pending", "2"], ["waiting", "0"], ["claimed", "0"], ["completed", "0"], ["failed", "0"],
        ["cancelled", "0"], [],
    ]  # fmt: skip
    assert [(words[0], words[1], words[2], words[-1]) for words in printed[7:10]] == [
        ("queue", "type", "pending", "left"),
        ("default", "-", "1", "unserved"),
        ("gpu", "resize", "1", "unserved"),
    ]
    assert out.splitlines()[10] == "done, failed: in the last 10m; left: at their rate"


def test_rows_of_the_inbox_are_shown_until_they_are_steps(fleet_q: Command, tmp_path: Path) -> None:
    fleet_q("submit", "{}")
    assert "inbox" not in fleet_q("queue")[1]
    with closing(sqlite3.connect(tmp_path / "fleet-q.db")) as connection, connection:
        connection.execute("INSERT INTO step_inbox (task_type) VALUES ('t'), ('u')")
    assert fleet_q("queue")[1].splitlines()[6].split() == ["inbox", "2"]
    stats = json.loads(fleet_q("queue", "--json")[1])
    assert (stats["pending"], stats["inbox"]) == (1, 2)


def test_empty_store_prints_totals_only(fleet_q: Command) -> None:
    fleet_q("submit", "{}", "--step-id", "a")
    fleet_q("cancel", "a")
    assert len(fleet_q("queue")[1].splitlines()) == len(STEP_STATUSES)


def test_queue_prints_json_with_the_counts_at_the_top(fleet_q: Command) -> None:
    fleet_q("submit", "{}")
    stats = json.loads(fleet_q("queue", "--json")[1])
    assert (stats["pending"], stats["queues"][0]["pending"]) == (1, 1)


@pytest.mark.parametrize(
    ("values", "left"),
    [
        ({"paused": True}, "paused"),
        ({"unserved": True, "paused": True}, "unserved"),
        ({"time_left": None}, "unknown"),
        ({"time_left": 0.0}, "-"),
        ({"time_left": 7_500.0}, "2h"),
    ],
)
def test_last_column_says_how_much_time_is_left(values: dict[str, Any], left: str) -> None:
    assert lines(row(pending=5, **values))[1].split()[-1] == left


def test_table_fits_into_80_columns() -> None:
    full = row(
        "a queue with a long name", "a_task_type_with_a_long_name", pending=1_000_000,
        delayed=500_000, waiting=30_000, claimed=1_000, failed=9_999, oldest_age=86_400.0 * 30,
        completed_lately=100_000, failed_lately=10_000, unserved=True,
    )  # fmt: skip
    wide = row("北京" * 20, "é" * 200, pending=1, time_left=3.0)
    shown = lines(full, wide, row(), width=80)
    assert max(map(cell_len, shown)) <= 80
    assert "1000000 " in shown[1]
    assert "…" in shown[1]
    assert "a_task_type_with_a_long_name" in lines(full)[1]


@pytest.mark.parametrize("text", HOSTILE)
def test_control_characters_in_names_are_escaped(text: str) -> None:
    assert all(is_harmless(line) for line in lines(row(f"x{text}y", f"x{text}y")))


def test_steps_that_wait_for_others_have_a_column_if_there_are_any() -> None:
    head, first, second = lines(row(pending=1), row("other", waiting=2))
    column = head.split().index("waiting")
    assert (first.split()[column], second.split()[column]) == ("0", "2")
    assert "waiting" not in lines(row(pending=1))[0]


def test_columns_stay_aligned() -> None:
    shown = lines(row("a", "b", pending=7), row("long name", "é", pending=12_345, paused=True))
    assert len({cell_len(line) for line in shown}) == 1
