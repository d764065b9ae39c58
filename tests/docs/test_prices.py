"""The documents say what sleeping pods cost, and the default settings say the same."""

from __future__ import annotations

import re
from typing import Final

import pytest

from tests.benchmarks.cloud_services import (
    CREDITS_AN_HOUR,
    DAY,
    HOUR,
    STATEMENT_SECONDS,
    credits_for,
    sleep_polls,
)
from tests.docs import DOCS, ROOT, text_of

FLEETS: Final = (1, 10, 100)

_README: Final = r"about (\S+) credits a day for 1 pod, (\S+) for 10 and (\S+) for 100"
_ROW: Final = r"\| (\S+) pods? asleep, a day \| (\S+) \| (\S+) \| (\S+) \| (\S+) \|"


def words(text: str) -> str:
    """The text in one line."""
    return " ".join(text.split())


def test_readme_says_what_one_ten_and_a_hundred_sleeping_pods_cost() -> None:
    match = re.search(_README, words(text_of(ROOT / "README.md")))
    assert match is not None
    assert match.groups() == tuple(f"{credits_for(sleep_polls(n, DAY)):.1f}" for n in FLEETS)


def test_price_table_has_the_polls_of_sleeping_pods_and_their_credits() -> None:
    rows = {row[0]: row[1:] for row in re.findall(_ROW, text_of(DOCS / "snowflake.md"))}
    assert rows == {
        str(pods): (f"{polls:,.0f}", "0", f"{polls:,.0f}", f"{credits_for(polls):.1f}")
        for pods, polls in ((pods, sleep_polls(pods, DAY)) for pods in FLEETS)
    }


def test_documents_state_the_assumptions_of_the_prices() -> None:
    text = words(text_of(DOCS / "snowflake.md"))
    assert f"{CREDITS_AN_HOUR:g} credits an hour" in text
    assert f"{STATEMENT_SECONDS:g} s of cloud services" in text


def test_a_sleeping_pod_takes_a_tenth_of_a_credit_a_day() -> None:
    assert sleep_polls(1, HOUR) == 120
    assert credits_for(120 * 24) == pytest.approx(0.1056)
