"""Splits submissions and outcomes into batches that fit into one statement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from fleet_q.core.step import Outcome, Submit

MAX_BYTES: Final = 4 * 1024 * 1024
"""The approximate size of the payloads or results in one statement: a bound text may have 16
MiB."""

S = TypeVar("S", Submit, Outcome)


def batches(items: Sequence[S], size: Callable[[S], int]) -> Iterator[list[S]]:
    """The items in batches of about ``MAX_BYTES``, each with at most one item per step."""
    batch: list[S] = []
    ids: set[str] = set()
    total = 0
    for item in items:
        if batch and (total + size(item) > MAX_BYTES or item.step_id in ids):
            yield batch
            batch, ids, total = [], set(), 0
        batch.append(item)
        ids.add(item.step_id)
        total += size(item)
    if batch:
        yield batch
