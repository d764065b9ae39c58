"""Rates: how they are written, and read."""

from __future__ import annotations

import pytest

from fleet_q.core.errors import InvalidInput
from fleet_q.core.rate import Rate, parse_rate

SECOND = 1_000_000


@pytest.mark.parametrize(
    ("text", "rate", "written"),
    [
        ("100/min", Rate(100, 60 * SECOND), "100/min"),
        ("5/s", Rate(5, SECOND), "5/s"),
        ("1000/h", Rate(1_000, 3_600 * SECOND), "1000/h"),
        ("10/30s", Rate(10, 30 * SECOND), "10/30s"),
        ("7 / 2 days", Rate(7, 2 * 86_400 * SECOND), "7/172800s"),
        ("1/60s", Rate(1, 60 * SECOND), "1/min"),
        ("3/HOUR", Rate(3, 3_600 * SECOND), "3/h"),
    ],
)
def test_rate_is_read_and_written(text: str, rate: Rate, written: str) -> None:
    assert parse_rate(text) == rate
    assert str(rate) == written
    assert parse_rate(str(rate)) == rate


@pytest.mark.parametrize(
    "text", ["", "100", "min", "0/s", "1/0s", "1.5/s", "-1/s", "1/week", "2000000/s", "1/32d"]
)
def test_invalid_rate_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_rate(text)
