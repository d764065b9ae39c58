"""What happens in a round, drawn from its seed."""

from __future__ import annotations

import resource
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

from fleet_q.adapters.sqlite.store import BUSY_TIMEOUT
from tests.crash.work import Work

StoreKind = Literal["sqlite", "snowflake"]
STORES: Final[tuple[StoreKind, ...]] = ("sqlite", "snowflake")


@dataclass(frozen=True)
class Kill:
    """SIGKILL; the pod starts again under the same id after a while."""

    pod: int
    back_after: float


@dataclass(frozen=True)
class Freeze:
    """SIGSTOP, long enough to be declared dead, then SIGCONT. With ``twin``, another process has
    joined under its id in the meantime."""

    pod: int
    seconds: float
    twin: bool


@dataclass(frozen=True)
class Twin:
    """Another process under the id of one that lives."""

    pod: int


@dataclass(frozen=True)
class Stop:
    """SIGTERM, and perhaps again."""

    pod: int
    again_after: float | None
    back_after: float


@dataclass(frozen=True)
class Full:
    """No process can make a file any longer than the log of the store is now."""

    seconds: float
    room: int
    """Bytes that are left."""


@dataclass(frozen=True)
class Hog:
    """Another program works on the file: it takes the write lock, reads, or checkpoints, each for a
    random time between half of ``longest`` and that."""

    seconds: float
    longest: float


@dataclass(frozen=True)
class Move:
    """The file is moved away, and perhaps another put in its place."""

    replaced: bool


@dataclass(frozen=True)
class PowerCut:
    """The machine's power fails: the file as it is at this moment is looked at by itself."""


@dataclass(frozen=True)
class Outage:
    """The store's server is killed, and started on the same data after a while."""

    seconds: float


@dataclass(frozen=True)
class Expiry:
    """All sessions end."""


@dataclass(frozen=True)
class Trouble:
    """Requests go wrong in this way, every so-many-th of them."""

    kind: str
    on: str
    every: int
    times: int
    error: str = ""


Act = Kill | Freeze | Twin | Stop | Full | Hog | Move | PowerCut | Outage | Expiry | Trouble


@dataclass(frozen=True)
class Plan:
    """A round. Times are seconds since all pods have joined."""

    seed: int
    store: StoreKind
    pods: int
    bursts: tuple[tuple[float, tuple[Work, ...]], ...]
    cancellations: tuple[tuple[float, str], ...]
    acts: tuple[tuple[float, Act], ...]
    ends_by: Literal["SIGTERM", "SIGKILL"]

    @property
    def work(self) -> list[Work]:
        """All steps."""
        return [each for _, burst in self.bursts for each in burst]


@dataclass(frozen=True)
class Measure:
    """How large the rounds of a store are."""

    seconds: float
    steps: int
    most_pods: int
    most_acts: int
    longest_outage: float = 3.0


MEASURES: Final[dict[StoreKind, Measure]] = {
    "sqlite": Measure(seconds=4.0, steps=120, most_pods=4, most_acts=9),
    "snowflake": Measure(seconds=8.0, steps=40, most_pods=4, most_acts=9),
}
BRIEF: Final[dict[StoreKind, Measure]] = {
    "sqlite": Measure(seconds=2.5, steps=60, most_pods=2, most_acts=6),
    "snowflake": Measure(seconds=3.0, steps=12, most_pods=2, most_acts=5, longest_outage=0.5),
}
"""The same for rounds that nobody wants to wait for."""

DEAD_AFTER: Final[dict[StoreKind, float]] = {"sqlite": 1.0, "snowflake": 3.0}
"""Seconds of silence after which a pod is declared dead."""


def draw(store: StoreKind, seed: int, *, brief: bool = False) -> Plan:
    """The plan of this seed."""
    chance = Random(f"{store} {seed}")
    measure = (BRIEF if brief else MEASURES)[store]
    pods = chance.randint(2, measure.most_pods)
    kinds = _kinds(chance)
    work = [Work(number, chance.choice(kinds)) for number in range(measure.steps)]
    times = sorted(chance.uniform(0, measure.seconds * 0.9) for _ in range(5))
    cuts = [0, *sorted(chance.sample(range(1, measure.steps), 5)), measure.steps]
    bursts = [
        (at, tuple(work[first:last]))
        for at, first, last in zip([0.0, *times], cuts, cuts[1:], strict=False)
    ]
    return Plan(
        seed=seed,
        store=store,
        pods=pods,
        bursts=tuple(bursts),
        cancellations=tuple(
            (at + chance.uniform(0, 1), each.step_id)
            for at, burst in bursts
            for each in burst
            if chance.random() < 0.03
        ),
        acts=tuple(_acts(store, pods, chance, measure)),
        ends_by=chance.choice(("SIGTERM", "SIGTERM", "SIGKILL")),
    )


def _kinds(chance: Random) -> list[str]:
    """The kinds to choose from, as often as they are to be likely."""
    kinds = ["short"] * 12 + ["gentle"] * 8 + ["long", "bulky"] * 2 + ["flaky", "doomed", "refused"]
    if chance.random() < 0.3:
        kinds += ["heavy"] * 3  # their processes take long to start
    if chance.random() < 0.2:
        kinds += ["poison"]
    return kinds


def _acts(store: StoreKind, pods: int, chance: Random, measure: Measure) -> list[tuple[float, Act]]:
    choices: list[tuple[int, Callable[[], Act]]] = [
        (4, lambda: Kill(chance.randrange(pods), chance.uniform(0, 2))),
        (3, lambda: _freeze(store, pods, chance)),
        (1, lambda: Twin(chance.randrange(pods))),
        (3, lambda: _stop(pods, chance)),
    ]
    choices += _acts_on_sqlite(chance) if store == "sqlite" else _acts_on_snowflake(chance, measure)
    weights, makers = zip(*choices, strict=True)
    count = chance.randint(4, measure.most_acts)
    acts = [make() for make in chance.choices(makers, weights, k=count)]
    return sorted(
        ((chance.uniform(0, measure.seconds), act) for act in acts), key=lambda timed: timed[0]
    )


def _freeze(store: StoreKind, pods: int, chance: Random) -> Freeze:
    seconds = DEAD_AFTER[store] * chance.uniform(0.5, 2.5)
    return Freeze(chance.randrange(pods), seconds, twin=chance.random() < 0.2)


def _stop(pods: int, chance: Random) -> Stop:
    again_after = chance.choice([None, chance.uniform(0, 0.5)])
    return Stop(chance.randrange(pods), again_after, chance.uniform(0, 2))


def _acts_on_sqlite(chance: Random) -> list[tuple[int, Callable[[], Act]]]:
    choices: list[tuple[int, Callable[[], Act]]] = [
        (2, lambda: _hog(chance)),
        (1, lambda: Move(replaced=chance.random() < 0.5)),
        (4, PowerCut),
    ]
    if hasattr(resource, "prlimit"):  # on Linux
        choices.append((2, lambda: Full(chance.uniform(0.5, 2.5), chance.randint(0, 200_000))))
    return choices


def _hog(chance: Random) -> Hog:
    """Seldom one that keeps the lock for longer than the store waits for it."""
    if chance.random() < 0.1:
        return Hog(BUSY_TIMEOUT * 1.4, BUSY_TIMEOUT * 2.4)
    return Hog(chance.uniform(0.5, 3), chance.choice([0.01, 0.1, 1]))


def _acts_on_snowflake(chance: Random, measure: Measure) -> list[tuple[int, Callable[[], Act]]]:
    return [
        (2, lambda: Outage(chance.uniform(0.2, measure.longest_outage))),
        (1, Expiry),
        (5, lambda: _trouble(chance)),
    ]


def _trouble(chance: Random) -> Trouble:
    kind, on, error = chance.choice(
        [
            ("drop", "commit", ""),
            ("drop", "write", ""),
            ("break", "any", ""),
            ("break", "commit", ""),
            ("reset", "any", ""),
            ("reset", "commit", ""),
            ("status", "any", ""),
            ("error", "any", "gone"),
            ("error", "any", "sign-in"),
        ]
    )
    return Trouble(kind, on, chance.randint(2, 12), chance.randint(1, 5), error)
