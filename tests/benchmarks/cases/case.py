"""The parts of a case: figures, and measurements that give their values."""

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
    """Reduces the values of all runs to the one that is shown."""

    @property
    def is_rate(self) -> bool:
        return self.unit == "/s"


@dataclass(frozen=True)
class Measured:
    """The result of a measurement: values of its figures, and faults."""

    values: Mapping[Figure, Sequence[float]]
    faults: Sequence[str] = ()


@dataclass(frozen=True)
class Measurement:
    """A measurement of ``figures`` on each of ``systems``, in every run, or ``once``: in the first.

    A system may be replaced by a variant, a class with the same name.
    """

    figures: Sequence[Figure]
    systems: Sequence[type[System]]
    measure: Callable[[type[System]], Measured]
    once: bool = False
