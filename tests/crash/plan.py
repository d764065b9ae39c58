"""The plan of a round: steps and disturbances, drawn from its seed."""

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
    """SIGKILL; the pod restarts under the same id after ``back_after`` seconds."""

    pod: int
    back_after: float


@dataclass(frozen=True)
class Freeze:
    """SIGSTOP, perhaps for longer than the dead-pod threshold, then SIGCONT. With ``duplicate``,
    another process joins under its id meanwhile."""

    pod: int
    seconds: float
    duplicate: bool


@dataclass(frozen=True)
class Duplicate:
    """A second process under the id of a live pod."""

    pod: int


@dataclass(frozen=True)
class Stop:
    """SIGTERM, and perhaps a second one after ``again_after`` seconds."""

    pod: int
    again_after: float | None
    back_after: float


@dataclass(frozen=True)
class DiskFull:
    """The disk is full: files can grow to the current size of the WAL plus ``room``."""

    seconds: float
    room: int
    """Bytes that can still be written."""


@dataclass(frozen=True)
class Hog:
    """Another program uses the file: it holds the write lock, reads, or checkpoints, each time for
    between half of ``longest`` and ``longest`` seconds."""

    seconds: float
    longest: float


@dataclass(frozen=True)
class Move:
    """The file is moved away, and perhaps replaced by a new one."""

    replaced: bool


@dataclass(frozen=True)
class PowerCut:
    """A power cut: what it would leave of the file at this moment is copied and checked."""


@dataclass(frozen=True)
class Outage:
    """The store's server is killed, and restarted on the same data after ``seconds``."""

    seconds: float


@dataclass(frozen=True)
class Expiry:
    """All sessions end."""


@dataclass(frozen=True)
class RequestFault:
    """A fault in every ``every``-th request; see :class:`tests.standin.faults.Fault`."""

    kind: str
    on: str
    every: int
    times: int
    error: str = ""


Act = (
    Kill
    | Freeze
    | Duplicate
    | Stop
    | DiskFull
    | Hog
    | Move
    | PowerCut
    | Outage
    | Expiry
    | RequestFault
)


@dataclass(frozen=True)
class Plan:
    """What happens in a round. Times are seconds since all pods have joined."""

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
        return [work for _, burst in self.bursts for work in burst]


@dataclass(frozen=True)
class Size:
    """How large a round is."""

    seconds: float
    steps: int
    most_pods: int
    most_acts: int
    longest_outage: float = 3.0


SIZES: Final[dict[StoreKind, Size]] = {
    "sqlite": Size(seconds=4.0, steps=120, most_pods=4, most_acts=9),
    "snowflake": Size(seconds=8.0, steps=40, most_pods=4, most_acts=9),
}
BRIEF_SIZES: Final[dict[StoreKind, Size]] = {
    "sqlite": Size(seconds=2.5, steps=60, most_pods=2, most_acts=6),
    "snowflake": Size(seconds=3.0, steps=12, most_pods=2, most_acts=5, longest_outage=0.5),
}
"""The sizes of the rounds that pytest runs."""

DEAD_AFTER: Final[dict[StoreKind, float]] = {"sqlite": 1.0, "snowflake": 3.0}
"""Seconds of silence after which a pod is declared dead."""


def draw(store: StoreKind, seed: int, *, brief: bool = False) -> Plan:
    """Draw the plan of a round from its seed."""
    chance = Random(f"{store} {seed}")
    size = (BRIEF_SIZES if brief else SIZES)[store]
    pods = chance.randint(2, size.most_pods)
    kinds = _kinds(chance)
    work = [Work(number, chance.choice(kinds)) for number in range(size.steps)]
    times = sorted(chance.uniform(0, size.seconds * 0.9) for _ in range(5))
    cuts = [0, *sorted(chance.sample(range(1, size.steps), 5)), size.steps]
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
            (at + chance.uniform(0, 1), item.step_id)
            for at, burst in bursts
            for item in burst
            if chance.random() < 0.03
        ),
        acts=tuple(_acts(store, pods, chance, size)),
        ends_by=chance.choice(("SIGTERM", "SIGTERM", "SIGKILL")),
    )


def _kinds(chance: Random) -> list[str]:
    """The kinds of steps to choose from, each repeated by its weight."""
    kinds = ["short"] * 12 + ["gentle"] * 8 + ["long", "bulky"] * 2 + ["flaky", "doomed", "refused"]
    if chance.random() < 0.3:
        kinds += ["heavy"] * 3  # each needs a child process, which is slow to start
    if chance.random() < 0.2:
        kinds += ["poison"]
    return kinds


def _acts(store: StoreKind, pods: int, chance: Random, size: Size) -> list[tuple[float, Act]]:
    choices: list[tuple[int, Callable[[], Act]]] = [
        (4, lambda: Kill(chance.randrange(pods), chance.uniform(0, 2))),
        (3, lambda: _freeze(store, pods, chance)),
        (1, lambda: Duplicate(chance.randrange(pods))),
        (3, lambda: _stop(pods, chance)),
    ]
    choices += _acts_on_sqlite(chance) if store == "sqlite" else _acts_on_snowflake(chance, size)
    weights, makers = zip(*choices, strict=True)
    count = chance.randint(4, size.most_acts)
    acts = [make() for make in chance.choices(makers, weights, k=count)]
    return sorted(
        ((chance.uniform(0, size.seconds), act) for act in acts), key=lambda timed: timed[0]
    )


def _freeze(store: StoreKind, pods: int, chance: Random) -> Freeze:
    seconds = DEAD_AFTER[store] * chance.uniform(0.5, 2.5)
    return Freeze(chance.randrange(pods), seconds, duplicate=chance.random() < 0.2)


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
        choices.append((2, lambda: DiskFull(chance.uniform(0.5, 2.5), chance.randint(0, 200_000))))
    return choices


def _hog(chance: Random) -> Hog:
    """In one case of ten it holds the lock for longer than the store waits for it."""
    if chance.random() < 0.1:
        return Hog(BUSY_TIMEOUT * 1.4, BUSY_TIMEOUT * 2.4)
    return Hog(chance.uniform(0.5, 3), chance.choice([0.01, 0.1, 1]))


def _acts_on_snowflake(chance: Random, size: Size) -> list[tuple[int, Callable[[], Act]]]:
    return [
        (2, lambda: Outage(chance.uniform(0.2, size.longest_outage))),
        (1, Expiry),
        (5, lambda: _request_fault(chance)),
    ]


def _request_fault(chance: Random) -> RequestFault:
    kind, on, error = chance.choice(
        [
            ("drop", "any", ""),
            ("drop", "call", ""),
            ("break", "any", ""),
            ("break", "call", ""),
            ("reset", "any", ""),
            ("reset", "call", ""),
            ("status", "any", ""),
            ("error", "any", "gone"),
            ("error", "any", "sign-in"),
        ]
    )
    return RequestFault(kind, on, chance.randint(2, 12), chance.randint(1, 5), error)
