"""A recovery cycle in virtual time.

``recovery_cycle`` calls its store and goes on with the answer; here an answer takes a while. So the
cycle is begun anew for every call, on a store that repeats the answers it had so far and stops at
the first call beyond them. It is the production code that decides, and it may be cut off anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, cast

from fleet_q.adapters.recovery_queue import SqliteDeadLetterTable
from fleet_q.core import recovery
from fleet_q.core.pod import Pod
from fleet_q.core.ports import Fleet, StartRecords, Store
from fleet_q.services.simulation.actor import Call


def cycle(
    by: str,
    dead_after: int,
    silent: Callable[[Fleet], Sequence[Pod]],
    starts: StartRecords | None = None,
) -> Generator[Call, Any, None]:
    """Run one cycle as the leader that ``by`` may be; yields calls and is sent their answers."""
    answers: list[Any] = []
    judged: list[Sequence[Pod]] = []

    def judge_once(fleet: Fleet) -> Sequence[Pod]:
        if not judged:
            judged.append(silent(fleet))
        return judged[0]

    while True:
        try:
            for _ in recovery.recovery_cycle(
                cast("Store", _Replay(answers, starts)),
                SqliteDeadLetterTable(),
                silent=judge_once,
                dead_after=dead_after,
                by=by,
                only_as_leader=True,
                stats=recovery.RecoveryStats(),
            ):
                pass
        except _Unanswered as unanswered:
            answers.append((yield unanswered.call))
        else:
            return


class _Unanswered(Exception):
    def __init__(self, call: Call) -> None:
        super().__init__()
        self.call = call


class _Replay:
    def __init__(self, answers: list[Any], starts: StartRecords | None) -> None:
        self.starts = starts
        self._answers = iter(answers)

    def __getattr__(self, method: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            for answer in self._answers:
                return answer
            raise _Unanswered(Call(method, args, kwargs))

        return call
