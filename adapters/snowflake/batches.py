"""Splits outcomes into batches that fit into one call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from fleet_q.core.step import Outcome

MAX_BYTES: Final = 4 * 1024 * 1024
"""The approximate size of the results in one call: a bound text may have 16 MiB."""


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
