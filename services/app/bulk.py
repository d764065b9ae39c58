"""Submitting and replaying many steps, in transactions of at most 1,000 steps each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from fleet_q.core.errors import IllegalTransition, UnknownStep
from fleet_q.core.ports import Store
from fleet_q.core.step import Submit

SUBMIT_BATCH: Final = 1_000
"""Steps in one transaction."""


def submit_all(
    store: Store,
    commands: Sequence[Submit],
    on_stored: Callable[[list[str]], object],
    by: str | None = None,
) -> list[str]:
    """Store steps and return their ids; of a submission with the unique key of another step, the id
    of that. ``by`` is who submits them. ``on_stored`` is called after each transaction with the
    ids of its submissions.

    If a transaction fails or ``on_stored`` raises, the attribute ``stored_ids`` of the error lists
    the ids of all steps that were stored.
    """
    stored: list[str] = []
    try:
        for batch in _batches(commands, store.traits.submission_size):
            try:
                results = store.submit(batch, by)
            except BaseException:
                stored += _stored_nevertheless(store, batch)
                raise
            step_ids = [result.step_id for result in results]
            stored += step_ids
            on_stored(step_ids)
    except BaseException as error:
        error.stored_ids = stored  # type: ignore[attr-defined]
        if stored:
            error.add_note(
                f"{len(stored)} of {len(commands)} steps were stored; their ids are in stored_ids"
            )
        raise
    return stored


def _batches(commands: Sequence[Submit], most_size: float) -> Iterator[Sequence[Submit]]:
    """Batches of ``SUBMIT_BATCH`` steps or fewer, with up to ``most_size`` bytes of texts."""
    if most_size == math.inf:  # no text has to be measured
        for begin in range(0, len(commands), SUBMIT_BATCH):
            yield commands[begin : begin + SUBMIT_BATCH]
        return
    batch: list[Submit] = []
    size = 0
    for command in commands:
        command_size = command.size
        size += command_size
        if batch and (len(batch) == SUBMIT_BATCH or size > most_size):
            yield batch
            batch, size = [], command_size
        batch.append(command)
    if batch:
        yield batch


def _stored_nevertheless(store: Store, batch: Sequence[Submit]) -> list[str]:
    """The ids of the steps that a transaction stored though it raised, for example because Ctrl-C
    was pressed right after the commit. Other steps may stand for submissions with unique keys."""
    step_ids = [submit.step_id for submit in batch if submit.unique_key is None]
    witness = next((s for s in batch if s.unique and s.unique_key is None), None)
    try:
        return step_ids if witness is not None and store.step(witness.step_id) is not None else []
    except Exception:
        return []


def replay_all(store: Store, on_replayed: Callable[[int], object], by: str | None = None) -> int:
    """Replay every dead letter that exists now; return the number of steps replayed.

    Steps that another caller replays or prunes meanwhile are skipped. ``on_replayed`` is called
    after each transaction with the number of its steps. ``by`` is who replays them.
    """
    replayed, before = 0, None
    while True:
        page = store.dead_letters(SUBMIT_BATCH, before)
        if before is None and page.steps:  # leaves out steps that fail from now on
            before = (page.steps[0].last_update_ts + 1, "")
        try:
            count = len(store.replay([step.step_id for step in page.steps], by))
        except (IllegalTransition, UnknownStep):
            continue  # a step of the page is no longer a dead letter: read the page again
        replayed += count
        if count:
            on_replayed(count)
        if page.before is None:
            return replayed
        before = page.before
