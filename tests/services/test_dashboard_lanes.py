"""The picture of the pods: where bars, stays, deaths and times stand."""

from __future__ import annotations

from typing import Any

from fleet_q.core.retry import MICROS
from fleet_q.services.dashboard.lanes import MOST_ROWS, NARROWEST, Picture, draw, ticks
from fleet_q.services.past import AttemptView, Lane, Lanes, Reign, Stay

HOUR = 3_600 * MICROS


def attempt(begin: int, end: int | None, how: str | None = "completed", row: int = 0) -> Any:
    return AttemptView("step", "default", "work", begin, end, how, None, row)


def picture(
    attempts: list[AttemptView], stays: list[Stay] | None = None, leaders: list[Reign] | None = None
) -> Picture:
    lane = Lane("pod", stays or [], attempts, 0)
    return draw(Lanes(HOUR, 2 * HOUR, [lane], leaders or [], False))


def test_attempt_is_as_long_as_it_took() -> None:
    (bar,) = picture([attempt(HOUR + HOUR // 4, HOUR + HOUR // 2)]).lanes[0].bars
    assert (bar.x, bar.width) == (25, 25)


def test_attempt_that_has_not_ended_lasts_to_the_end_of_the_window() -> None:
    (bar,) = picture([attempt(HOUR + HOUR // 2, None, None)]).lanes[0].bars
    assert (bar.x, bar.width) == (50, 50)


def test_attempt_that_began_before_the_window_begins_at_its_edge() -> None:
    (bar,) = picture([attempt(0, HOUR + HOUR // 10)]).lanes[0].bars
    assert (bar.x, bar.width) == (0, 10)


def test_short_attempt_is_seen_and_stays_within_the_lane() -> None:
    (bar,) = picture([attempt(2 * HOUR, 2 * HOUR)]).lanes[0].bars
    assert (bar.x, bar.width) == (100 - NARROWEST, NARROWEST)


def test_lane_of_many_slots_is_not_higher_than_the_most_rows() -> None:
    many = picture([attempt(HOUR, None, row=row) for row in range(100)]).lanes[0]
    assert many.height == picture([attempt(HOUR, None, row=MOST_ROWS - 1)]).lanes[0].height


def test_only_a_pod_that_was_declared_dead_has_a_cross() -> None:
    stays = [
        Stay(0, HOUR + HOUR // 2, "declared_dead", []),
        Stay(HOUR + HOUR // 2, HOUR + HOUR // 2, "left", []),
    ]
    lane = picture([], stays).lanes[0]
    assert lane.deaths == [50]
    assert lane.summary == "declared dead"


def test_lead_of_other_pods_is_not_in_the_lane() -> None:
    reigns = [Reign("other", HOUR, 2 * HOUR), Reign("pod", HOUR + HOUR // 2, None)]
    assert [(part.x, part.width) for part in picture([], [], reigns).lanes[0].reigns] == [(50, 50)]


def test_axis_has_times_of_the_clock() -> None:
    assert [tick.text for tick in ticks(HOUR - 60 * MICROS, 2 * HOUR)] == [
        "01:00", "01:15", "01:30", "01:45", "02:00",
    ]  # fmt: skip
    assert ticks(HOUR, HOUR + MICROS)[0].text == "01:00:00"
