"""Many steps at once, in transactions of a limited size; what was done is known if one fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from fleet_q.core.errors import IllegalTransition, UnknownStep
from fleet_q.core.ports import Store
from fleet_q.core.step import Submit

SUBMIT_BATCH: Final = 1_000
"""Steps in one transaction."""


def submit_all(
    store: Store, commands: Sequence[Submit], on_stored: Callable[[list[str]], object]
) -> None:
    """Store steps; after each transaction ``on_stored`` is called with the ids that it stored.

    If a transaction fails, or ``on_stored`` raises, the error's ``stored_ids`` are the ids of all
    that is stored.
    """
    stored: list[str] = []
    try:
        for first in range(0, len(commands), SUBMIT_BATCH):
            batch = commands[first : first + SUBMIT_BATCH]
            step_ids = [command.step_id for command in batch]
            try:
                store.submit(batch)
            except BaseException:
                if _is_stored(store, batch[0]):
                    stored += step_ids
                raise
            stored += step_ids
            on_stored(step_ids)
    except BaseException as error:
        error.stored_ids = stored  # type: ignore[attr-defined]
        if stored:
            error.add_note(f"{len(stored)} of {len(commands)} steps were stored: see stored_ids")
        raise


def _is_stored(store: Store, submit: Submit) -> bool:
    """Whether a transaction that raised was committed all the same, as when Ctrl-C came right
    after its commit."""
    try:
        return submit.unique and store.step(submit.step_id) is not None
    except Exception:
        return False


def replay_all(store: Store, on_replayed: Callable[[int], object]) -> int:
    """Replay every dead letter that there is now; how many this call replayed.

    Those that somebody else replays or prunes meanwhile are left out. After each transaction
    ``on_replayed`` is called with the number of its steps.
    """
    replayed, before = 0, None
    while True:
        page = store.dead_letters(SUBMIT_BATCH, before)
        if before is None and page.steps:  # what fails from now on is not asked for
            before = (page.steps[0].last_update_ts + 1, "")
        try:
            count = len(store.replay([step.step_id for step in page.steps]))
        except (IllegalTransition, UnknownStep):
            continue  # one of them is no dead letter any more, so the page is read anew
        replayed += count
        if count:
            on_replayed(count)
        if page.before is None:
            return replayed
        before = page.before
