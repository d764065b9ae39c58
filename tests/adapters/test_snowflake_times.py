"""The table of times that a statement takes on Snowflake."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from fleet_q.adapters.snowflake.times import MEASURED, Times, read_times
from fleet_q.core.errors import InvalidInput


def test_file_replaces_the_times_that_it_names(tmp_path: Path) -> None:
    path = tmp_path / "times.json"
    path.write_text('{"request": 0.05, "update": 1}')
    assert read_times(path) == Times(request=0.05, update=1.0)


def test_measured_times_can_be_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "times.json"
    path.write_bytes(msgspec.json.encode(MEASURED))
    assert read_times(path) == MEASURED


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "does not hold latencies"),
        ('{"updates": 1}', "unknown field `updates`"),
        ('{"update": -1}', r">= 0"),
        ('{"update": "slow"}', "`float`"),
        (None, "cannot read"),
    ],
)
def test_invalid_file_is_rejected_in_one_line(
    tmp_path: Path, text: str | None, reason: str
) -> None:
    path = tmp_path / "times.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InvalidInput, match=reason) as error:
        read_times(path)
    assert "\n" not in str(error.value)
