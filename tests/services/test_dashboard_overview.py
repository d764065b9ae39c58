"""The overview of the dashboard, and its charts."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient

from fleet_q import FleetQ
from fleet_q.services.dashboard.charts import chart, nice
from fleet_q.services.dashboard.render import count, duration
from fleet_q.services.http.api import create_http
from fleet_q.services.past import NeedsIndex, NotReady, Past

MINUTE = 60_000_000


@pytest.fixture
def page(app: FleetQ) -> TestClient:
    return TestClient(create_http(app, dashboard=True))


def test_overview_counts_steps_and_names_what_nobody_takes(app: FleetQ, page: TestClient) -> None:
    app.submit({"task_type": "render"}, queue="gpu")
    app.cancel(app.submit({}))
    text = page.get("/").text
    counts = re.findall(r'class="number">(\d+)</span> <span class="name">(\w+)', text)
    assert dict(map(reversed, counts)) == {
        "pending": "1",
        "waiting": "0",
        "claimed": "0",
        "completed": "0",
        "failed": "0",
        "cancelled": "1",
    }
    assert "No live pod takes render from the queue gpu: 1 wait." in text
    assert "Steps that have not ended" in text


def test_overview_of_the_past_counts_what_was(app: FleetQ, page: TestClient) -> None:
    app.submit({})
    text = page.get("/?at=1h").text
    assert re.findall(r'class="number">(\d+)</span>', text) == ["0"] * 6


def test_overview_names_a_paused_queue(app: FleetQ, page: TestClient) -> None:
    app.submit({}, queue="gpu")
    app.queues.pause("gpu")
    assert "The queue gpu is paused: 1 wait." in page.get("/").text


def test_overview_without_steps_says_how_to_submit_one(page: TestClient) -> None:
    assert "fleet-q submit" in page.get("/").text
    assert page.get("/?span=2y").status_code == 422


def test_overview_shows_how_much_of_the_log_was_read(
    page: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_ready(*_: object, **__: object) -> None:
        raise NotReady(0.25)

    monkeypatch.setattr(Past, "charts", not_ready)
    monkeypatch.setattr(Past, "stats", not_ready)
    for address in ("/", "/?at=1h"):
        text = page.get(address).text
        assert "25 %" in text
        assert "data-again" in text


def test_overview_names_the_command_that_makes_the_index(
    page: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def needs_index(*_: object, **__: object) -> None:
        raise NeedsIndex

    monkeypatch.setattr(Past, "charts", needs_index)
    text = page.get("/").text
    assert "run fleet-q " in text
    assert "data-again" not in text


def test_bars_are_stacked_up_to_a_round_number() -> None:
    drawn = chart(
        "Ended",
        "bars",
        0,
        [MINUTE, 2 * MINUTE],
        [("completed", "completed", [10, 0]), ("failed", "failed", [5, 0])],
    )
    assert drawn.top == "15"
    assert [series.path for series in drawn.series] == [
        "M1.5,100.0V33.33H498.5V100.0Z",
        "M1.5,33.33V0.0H498.5V33.33Z",
    ]
    assert drawn.spots[0].text == "00:01: completed 10, failed 5"


def test_line_is_interrupted_where_there_is_no_number() -> None:
    drawn = chart(
        "Ran",
        "line",
        0,
        [MINUTE * number for number in range(1, 5)],
        [("half", "low", [1.0, None, 0.5, 1.0])],
        is_time=True,
        wholes=[0.75],
    )
    (series,) = drawn.series
    assert series.path == "M125.0,0.0h.1M625.0,50.0h.1L875.0,0.0"
    assert (drawn.top, series.number) == ("1.0 s", "750 ms")


def test_chart_without_events_says_so() -> None:
    drawn = chart("Ended", "bars", 0, [MINUTE], [("completed", "completed", [0])])
    assert drawn.summary == "Ended: nothing from 00:00 to 00:01"


@pytest.mark.parametrize(("number", "edge"), [(0, 1), (1, 1), (7, 8), (13, 15), (101, 150)])
def test_upper_edges_are_round(number: float, edge: float) -> None:
    assert nice(number) == edge


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.0004, "0 ms"),
        (0.82, "820 ms"),
        (4.24, "4.2 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (7_260, "2 h 1 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_durations_have_two_units_at_most(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_digits_of_counts_are_grouped() -> None:
    assert count(1_234_567) == "1\u202f234\u202f567"
