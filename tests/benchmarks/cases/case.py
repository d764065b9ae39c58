"""What a case is made of: figures, and the measurements that give them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from tests.benchmarks.systems.system import System


@dataclass(frozen=True)
class Figure:
    """One line of the report. ``unit`` ``/s`` is a rate: more is better, and ratios are shown."""

    title: str
    unit: str
    of_all: Callable[[Sequence[float]], float] = field(default=median, compare=False)
    """What is shown of the values of all runs."""

    @property
    def is_rate(self) -> bool:
        return self.unit == "/s"


@dataclass(frozen=True)
class Measured:
    """What one measurement gave: values for its figures, and what was wrong with it."""

    values: Mapping[Figure, Sequence[float]]
    faults: Sequence[str] = ()


@dataclass(frozen=True)
class Measurement:
    """One thing to measure on each of ``systems``, in every run (in the first only, if ``once``).

    ``figures`` are what it gives. A system may be measured by a variant of itself of another
    class and the same name.
    """

    figures: Sequence[Figure]
    systems: Sequence[type[System]]
    measure: Callable[[type[System]], Measured]
    once: bool = False
