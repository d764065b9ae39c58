"""A SQLite file with a long past: ``python -m tests.benchmarks.million PATH [STEPS] [DAYS]``.

By default a million steps of a week, which is three million events; it takes about two minutes.
They come in waves, run on pods that join, leave and die, and fail now and then. The same numbers
give the same file, apart from its times, which end now.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from math import pi, sin
from pathlib import Path
from random import Random
from typing import Final

from msgspec import Raw

from fleet_q.adapters import rows
from fleet_q.adapters.clock import wall_clock
from fleet_q.adapters.columns import ROWS
from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.adapters.statements import statements
from fleet_q.core import events as ev
from fleet_q.core import pod as pods
from fleet_q.core.events import Event, PodEvent, StepEvent, StepFact
from fleet_q.core.pod import PodDescription
from fleet_q.core.queues import QueueChange
from fleet_q.core.rate import MICROS, Rate
from fleet_q.core.step import Step, evolve
from fleet_q.sql.render import by_place

STEPS: Final = 1_000_000
DAYS: Final = 7.0
BATCH: Final = 20_000
HOSTS: Final = 8
LIFE: Final = 11 * 3_600 * MICROS
"""How long a pod lives, or less."""

KINDS: Final = (
    ("default", "send_email", 12, 0.4),
    ("default", "resize_image", 6, 3.0),
    ("imports", "load_orders", 2, 45.0),
    ("imports", "load_customers", 1, 90.0),
    ("reports", "render_report", 3, 8.0),
)
"""Queue, task type, how often of 24, and the usual seconds that it runs."""

ERRORS: Final = (
    "TimeoutError: no answer after 30 s",
    "ConnectionError: [Errno 111] Connection refused",
    "ValueError: order 4711 has no customer",
)


TRACEBACK: Final = "Traceback (most recent call last):\n" + '  File "tasks.py", line 1\n' * 10


class Million:
    """Makes up the steps, in the order of their submission."""

    def __init__(self, steps: int, days: float, now: int) -> None:
        self._random = Random(1)
        self._steps = steps
        self._now = now
        self._span = int(days * 86_400 * MICROS)
        self._weights = [weight for _, _, weight, _ in KINDS]

    def histories(self) -> Iterator[list[StepEvent]]:
        """The events of each step until now."""
        begin = self._now - self._span
        for number in range(self._steps):
            part = number / self._steps
            wave = sin(part * self._span / 86_400 / MICROS * 2 * pi) * 0.02
            at = begin + int((part + wave * (1 - part)) * self._span)
            yield [
                event for event in self._history(number, max(at, begin)) if event.at <= self._now
            ]

    def pods(self) -> Iterator[list[PodEvent]]:
        """The events of each pod."""
        for host in range(HOSTS):
            for life in range(self._span // LIFE + 1):
                begin = self._now - self._span + life * LIFE
                pod_id = self._pod(host, begin)
                description = PodDescription(f"host{host}", "1.4", 16).text
                facts: list[tuple[int, ev.PodFact]] = [
                    (begin, ev.Joined("one", Raw(description.encode())))
                ]
                dies = (host + life) % 7 == 0
                end = ev.DeclaredDead("one") if dies else ev.Left("one")
                facts.append((begin + LIFE - MICROS, end))
                by = self._pod((host + 1) % HOSTS, begin) if dies else pod_id
                yield [
                    Event(pod_id, version, at, by if version > 1 else pod_id, fact)
                    for version, (at, fact) in enumerate(facts, 1)
                    if at <= self._now
                ]

    def _history(self, number: int, at: int) -> Iterator[StepEvent]:
        random = self._random
        queue, task_type, _, usual = random.choices(KINDS, self._weights)[0]
        step_id = f"step-{at // 1000:012x}7{number:07x}8{random.getrandbits(44):011x}"
        payload = (
            f'{{"task_type":"{task_type}","id":{number},"note":"{"x" * random.randint(0, 60)}"}}'
        )
        workflow = f"nightly-{number // 1000:06x}" if number % 1000 < 12 else None
        facts: list[tuple[int, StepFact]] = [
            (
                at,
                ev.Submitted(
                    Raw(payload.encode()), 0, 3, 0, queue=queue, task_type=task_type,
                    labels=Raw(b'{"team":"a"}') if number % 5 == 0 else None,
                    workflow_id=workflow,
                ),
            )
        ]  # fmt: skip
        if random.random() < 0.004:
            facts.append((at + 5 * MICROS, ev.Cancelled()))
        else:
            facts += self._attempts(at, usual)
        for version, (time, fact) in enumerate(facts, 1):
            pod_id = None if version == 1 else self._pod(number % HOSTS, time)
            yield Event(step_id, version, time, pod_id, fact)

    def _attempts(self, at: int, usual: float) -> Iterator[tuple[int, StepFact]]:
        random = self._random
        while True:
            at += int(random.lognormvariate(0.5, 1.2) * MICROS)
            token = f"{random.getrandbits(128):032x}"
            yield at, ev.Claimed(token, "one")
            at += int(usual * random.lognormvariate(0, 0.7) * MICROS)
            luck = random.random()
            if luck > 0.06:
                yield at, ev.Completed(token, Raw(b'{"rows":12345,"seconds":1.5}'))
                return
            error = random.choice(ERRORS)
            if luck < 0.01:
                yield at, ev.Failed(token, error, f"Traceback\n  File x\n{error}" * 5)
                return
            yield (
                at,
                ev.Retried(token, error, f"Traceback\n  File x\n{error}" * 5, at + 10 * MICROS),
            )
            at += 10 * MICROS

    def _pod(self, host: int, at: int) -> str:
        life = max(0, (at - self._now + self._span) // LIFE)
        return f"host{host}-{life:04x}"


def make(path: Path, steps: int = STEPS, days: float = DAYS) -> None:
    """Make the file. Raises ``FileExistsError``."""
    if path.exists():
        raise FileExistsError(path)
    million = Million(steps, days, wall_clock())
    store = SqliteStore(path)
    store.set_queue("imports", QueueChange(max_running=20), "ops@host")
    store.set_queue("default", QueueChange(rate=Rate(1_000, 60 * MICROS)), "ops@host")
    sql = statements("sqlite")
    put_step = by_place(sql["put_step"], list(ROWS.step))
    append = by_place(sql["insert_step_event"], list(ROWS.step_event))
    put_pod = by_place(sql["upsert_pod"], list(ROWS.pod))
    append_pod = by_place(sql["insert_pod_event"], list(ROWS.pod_event))
    store.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        for pod_history in million.pods():
            if (pod := pods.fold(pod_history)) is not None:
                connection.executemany(append_pod, map(rows.pod_event_row, pod_history))
                connection.execute(put_pod, [getattr(pod, name) for name in ROWS.pod])
        histories = million.histories()
        done = 0
        while batch := list(islice(histories, BATCH)):
            connection.executemany(
                append, (rows.step_event_row(event) for history in batch for event in history)
            )
            connection.executemany(
                put_step,
                (
                    [getattr(step, name) for name in ROWS.step]
                    for history in batch
                    if (step := folded(history)) is not None
                ),
            )
            done += len(batch)
            print(f"\r{done:,} steps", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def folded(history: list[StepEvent]) -> Step | None:
    """The step after its events."""
    step: Step | None = None
    for event in history:
        step = evolve(step, event)
    return step


if __name__ == "__main__":
    make(
        Path(sys.argv[1]),
        int(sys.argv[2]) if len(sys.argv) > 2 else STEPS,
        float(sys.argv[3]) if len(sys.argv) > 3 else DAYS,
    )
