"""Splits outcomes into batches that fit into one call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from fleet_q.adapters import rows
from fleet_q.core.errors import DataRefused
from fleet_q.core.sizes import size_of
from fleet_q.core.step import Outcome

MAX_BYTES: Final = 4 * 1024 * 1024
"""The approximate size of the results and errors in one call."""

MAX_TEXT_BYTES: Final = 16 * 1024 * 1024
"""Bytes of UTF-8 in one bound text, at most: the size of a VARCHAR on every account (documentation
of string data types; newer accounts allow more)."""


def batches(outcomes: Sequence[Outcome]) -> Iterator[list[Outcome]]:
    """The outcomes in batches of about ``MAX_BYTES``, each with at most one outcome per step."""
    batch: list[Outcome] = []
    ids: set[str] = set()
    total = 0
    for outcome in outcomes:
        if batch and (total + outcome.size > MAX_BYTES or outcome.step_id in ids):
            yield batch
            batch, ids, total = [], set(), 0
        batch.append(outcome)
        ids.add(outcome.step_id)
        total += outcome.size
    if batch:
        yield batch


def outcomes_json(outcomes: Sequence[Outcome], pod_id: str) -> str:
    """A pod's outcomes as one text. Raises :class:`DataRefused` if it is too large, so that the pod
    finds the outcome that is, and fails its step."""
    text = rows.outcomes_json(outcomes, pod_id)
    if (size := size_of(text)) > MAX_TEXT_BYTES:
        raise DataRefused(
            f"{len(outcomes)} outcome(s) have {size} bytes, and Snowflake takes {MAX_TEXT_BYTES}"
        )
    return text
