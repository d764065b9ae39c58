"""Measures a drain: real workers on a filled queue."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from tests.benchmarks.processes import BenchmarkError, Workers, wait_until
from tests.benchmarks.systems.system import System
from tests.waiting import LIMIT

SETTLE_LIMIT: Final = LIMIT
"""Seconds for the last results to be stored after the last function was called."""


LOOK: Final = 0.02
"""Seconds between two checks of progress; each check counts all calls."""


class Drain(NamedTuple):
    """``rate`` in tasks a second; ``parts``: how many tasks each worker did once all had begun."""

    rate: float
    parts: list[int]
    faults: list[str]


def drain(
    system: type[System],
    folder: Path,
    total: int,
    *,
    workers: int = 1,
    first: int | None = None,
    limit: float,
    on_check: Callable[[Workers], None] = lambda _: None,
) -> Drain:
    """Drain the queue of ``total`` tasks in ``folder``, or only its ``first`` ones, for ``limit``
    seconds at most, calling ``on_check`` at each check of progress.

    Then check that the called tasks are completed and, unless the limit was reached, that these are
    all tasks. Raises :class:`BenchmarkError` if no task was completed.
    """
    wanted = total if first is None else first
    commands = [system.worker(folder, index) for index in range(workers)]
    with Workers(commands, folder, total) as running:
        before_all_began: list[int] | None = None

        def called() -> bool:
            nonlocal before_all_began
            on_check(running)
            if before_all_began is None and all(calls.first for calls in running.calls):
                before_all_began = [calls.numbers for calls in running.calls]
            return running.called >= wanted

        running.go()
        reached = wait_until(called, limit, running, pause=LOOK)
        queue = system(folder)
        if reached and first is None:
            wait_until(lambda: queue.completed() >= total, SETTLE_LIMIT, running, LOOK)
        faults = running.faults()
        running.stop()
    try:
        done = min(queue.completed(), wanted)
        if not done:
            raise BenchmarkError(f"{system.name} did nothing in {limit:g} s; {'; '.join(faults)}")
        faults += queue.faults(running.calls)
        if reached and done < wanted:
            faults.append(f"has completed {done} of {wanted} tasks")
        rate = done / queue.seconds(running.calls, done)
        return Drain(rate, _parts(running, before_all_began), faults)
    finally:
        queue.close()


def _parts(workers: Workers, before: list[int] | None) -> list[int]:
    """The tasks of each worker since all had begun, so that slow starts do not count. If they never
    had, or only when all tasks were done: since the start."""
    done = [calls.numbers for calls in workers.calls]
    since = [now - then for now, then in zip(done, before or [], strict=False)]
    return since if any(since) else done
