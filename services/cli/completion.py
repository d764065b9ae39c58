"""What a shell completes: names and ids from the store of a command, if that is a SQLite file.

Nothing here prints, raises, or makes a store: a shell calls it while somebody types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from contextlib import suppress
from typing import Final

import typer

from fleet_q.adapters.open import store_exists
from fleet_q.core.lifecycle import STEP_STATUSES
from fleet_q.core.search import StepFilter
from fleet_q.services.app.app import FleetQ
from fleet_q.services.cli.options import client

LATEST: Final = 100
"""From how many steps, the latest, ids and types are taken."""

Complete = Callable[[typer.Context, str], list[str]]


def _completing(names: Callable[[FleetQ, str], Iterable[str | None]]) -> Complete:
    """A completion by ``names``, of the app of a command, that begin with what was typed."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        with suppress(BaseException):  # importing the app may also exit
            params = ctx.params
            fleet = client(params.get("store"), params.get("app"))
            try:
                if (fleet.url or "").startswith("sqlite:") and store_exists(fleet.where):
                    found = dict.fromkeys(filter(None, names(fleet, incomplete)))
                    return [name for name in found if name.startswith(incomplete)]
            finally:
                fleet.close()
        return []

    return complete


def join_words(environment: MutableMapping[str, str]) -> None:
    """Join the words that bash has split at colons, such as those of ``sqlite:///jobs.db``. It
    passes them on in lines, with the number of the one that is completed."""
    if environment.get("_FLEET_Q_COMPLETE") != "complete_bash":
        return
    words = environment.get("COMP_WORDS", "").split("\n")
    last = int(environment.get("COMP_CWORD", "0"))
    joined: list[str] = []
    for number, word in enumerate(words):
        if joined and (word == ":" or words[number - 1] == ":") and number > 1:
            joined[-1] += word
            last -= number <= int(environment["COMP_CWORD"])
        else:
            joined.append(word)
    environment.update({"COMP_WORDS": "\n".join(joined), "COMP_CWORD": str(last)})


def _types(fleet: FleetQ, _: str) -> Iterable[str | None]:
    latest = (step.task_type for step in fleet.steps(limit=LATEST).steps)
    return [*fleet.task_types, *(pair[1] for pair in fleet.store.pending_types()), *latest]


def _queues(fleet: FleetQ, _: str) -> Iterable[str | None]:
    latest = (step.queue for step in fleet.steps(limit=LATEST).steps)
    limited = (queue.queue for queue in fleet.store.queues())
    return [*limited, *(pair[0] for pair in fleet.store.pending_types()), *latest]


def _step_ids(fleet: FleetQ, incomplete: str) -> Iterable[str]:
    wanted = StepFilter(id_prefix=incomplete) if incomplete else StepFilter()
    return [step.step_id for step in fleet.store.list_steps(wanted, LATEST).steps]


def _workflows(fleet: FleetQ, _: str) -> Iterable[str | None]:
    return [step.workflow_id for step in fleet.steps(limit=LATEST).steps]


def _pods(fleet: FleetQ, _: str) -> Iterable[str]:
    return [pod.pod_id for pod in fleet.store.pods().pods]


def _schedules(fleet: FleetQ, _: str) -> Iterable[str]:
    return [view.schedule for view in fleet.schedules.all()]


def statuses(incomplete: str) -> list[str]:
    """The statuses that begin with what was typed."""
    return [status for status in STEP_STATUSES if status.startswith(incomplete)]


task_types: Final = _completing(_types)
queues: Final = _completing(_queues)
step_ids: Final = _completing(_step_ids)
workflows: Final = _completing(_workflows)
pods: Final = _completing(_pods)
schedules: Final = _completing(_schedules)
