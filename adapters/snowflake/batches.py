"""Submissions and outcomes in parts that one statement can take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from fleet_q.core.step import Outcome, Submit

MOST_BYTES: Final = 4 * 1024 * 1024
"""Characters of payloads or results in one statement, about: a bound text may have 16 MiB."""

S = TypeVar("S", Submit, Outcome)


def batches(items: Sequence[S], size: Callable[[S], int]) -> Iterator[list[S]]:
    """The items in batches of about ``MOST_BYTES``, no step twice in one."""
    batch: list[S] = []
    ids: set[str] = set()
    total = 0
    for item in items:
        if batch and (total + size(item) > MOST_BYTES or item.step_id in ids):
            yield batch
            batch, ids, total = [], set(), 0
        batch.append(item)
        ids.add(item.step_id)
        total += size(item)
    if batch:
        yield batch
