"""What is too large for Snowflake is refused before it is sent, and harms nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from fleet_q.adapters import rows
from fleet_q.adapters.snowflake.batches import MAX_BYTES, MAX_TEXT_BYTES, batches
from fleet_q.adapters.snowflake.store import SnowflakeStore
from fleet_q.core.errors import DataRefused, InvalidInput
from fleet_q.core.ports import CheckedSubmission, SubmitResult, SyncRequest
from fleet_q.core.sizes import size_of
from fleet_q.core.step import Complete, Fail, Outcome, Submit
from fleet_q.services.app.bulk import submit_all

NOWHERE = SnowflakeStore({})
"""A store that cannot sign in."""


@pytest.mark.parametrize(
    "outcome",
    [
        Complete("a", "t", '"' + "語" * (MAX_TEXT_BYTES // 3) + '"'),
        Fail("a", "t", "boom", "語" * (MAX_TEXT_BYTES // 3)),
        Fail("a", "t", "\0" * (MAX_TEXT_BYTES // 5)),  # which JSON writes as \u0000
    ],
    ids=["result", "traceback", "escaped"],
)
def test_outcome_that_is_too_large_is_refused_as_data(outcome: Outcome) -> None:
    with pytest.raises(DataRefused, match=r"^1 outcome\(s\) have \d+ bytes"):
        NOWHERE.sync(SyncRequest("pod", "one", outcomes=(outcome,)))


def test_submission_that_is_too_large_is_invalid() -> None:
    payload = '{"x":"' + "語" * (MAX_TEXT_BYTES // 3) + '"}'
    with pytest.raises(InvalidInput, match=r"has \d+ bytes, and Snowflake takes 16777216"):
        NOWHERE.submit([Submit("a", payload)])


@pytest.mark.parametrize("text", ["x", "語", '\\"'])
def test_every_batch_of_a_large_submission_fits(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    sizes: list[int] = []

    def submit(store: SnowflakeStore, new: Sequence[Submit], by: str | None) -> list[SubmitResult]:
        submission = CheckedSubmission("s" * 32, tuple(new), "p" * 200)
        sizes.append(size_of(rows.submissions_json(submission)))
        return []

    monkeypatch.setattr(SnowflakeStore, "submit", submit)
    payload = f'"{text * (512 * 1024 // size_of(text))}"'
    submit_all(NOWHERE, [Submit(f"{n:0200}", payload) for n in range(40)], lambda _: None)
    assert len(sizes) > 1
    assert max(sizes) <= MAX_TEXT_BYTES


@pytest.mark.parametrize("letter", ["x", "語"])
def test_outcomes_are_batched_by_bytes_with_errors_and_tracebacks(letter: str) -> None:
    text = letter * (MAX_BYTES // 2 // len(letter.encode()))
    outcomes: list[Outcome] = [
        Complete("a", "t", text),
        Fail("b", "t", text),
        Fail("c", "t", "boom", text),
        Fail("d", "t", "boom"),
    ]
    assert [len(batch) for batch in batches(outcomes)] == [2, 2]
