"""The measured values and their ratios."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import median

from tests.benchmarks.cases.case import Figure, Measured
from tests.benchmarks.systems import LIMITS, OURS, PEERS

LIMIT = LIMITS[0].name
"""The limit that counts: the one that keeps a history too."""


class Results:
    """The values of every figure, by system and run."""

    def __init__(self) -> None:
        self.figures: list[Figure] = []
        self._values: dict[tuple[Figure, str], dict[int, list[float]]] = defaultdict(dict)
        self._faults: dict[tuple[Figure, str], set[str]] = defaultdict(set)

    def add(self, system: str, run: int, measured: Measured) -> None:
        """What one measurement gave."""
        for figure, values in measured.values.items():
            self._know(figure)
            self._values[figure, system][run] = list(values)
        if measured.faults:
            self.add_faults(list(measured.values), system, measured.faults)

    def add_faults(self, figures: Sequence[Figure], system: str, faults: Sequence[str]) -> None:
        """What was wrong with these figures of a system, or why there are none."""
        for figure in figures:
            self._know(figure)
            self._faults[figure, system].update(faults)

    def runs(self, figure: Figure, system: str) -> list[list[float]]:
        """The values of each run."""
        return list(self._values[figure, system].values())

    def faults(self, figure: Figure, system: str) -> list[str]:
        """What was wrong, if anything."""
        return sorted(self._faults[figure, system])

    def value(self, figure: Figure, system: str = OURS) -> float | None:
        """What the figure is over all runs; ``None`` if it was not measured."""
        values = [value for run in self.runs(figure, system) for value in run]
        return figure.of_all(values) if values else None

    def ratio(self, figure: Figure, to: tuple[Figure, str]) -> float | None:
        """Ours to another figure, or another's: the median of the runs' ratios, since what
        disturbs a run disturbs both."""
        ours, others = self._values[figure, OURS], self._values[to]
        ratios = [
            figure.of_all(ours[run]) / to[0].of_all(others[run])
            for run in ours.keys() & others.keys()
        ]
        return median(ratios) if ratios else None

    def ratio_to_limit(self, figure: Figure) -> float | None:
        """Ours to the limit with history."""
        return self.ratio(figure, (figure, LIMIT))

    def best_peer(self, figure: Figure) -> str | None:
        """The fastest of those that did it without a fault."""
        rates = {
            peer.name: value
            for peer in PEERS
            if (value := self.value(figure, peer.name)) is not None
            and not self.faults(figure, peer.name)
        }
        return max(rates, key=rates.__getitem__, default=None)

    def ratio_to_best_peer(self, figure: Figure) -> float | None:
        """Ours to the best peer's."""
        best = self.best_peer(figure)
        return self.ratio(figure, (figure, best)) if best is not None else None

    def _know(self, figure: Figure) -> None:
        if figure not in self.figures:
            self.figures.append(figure)
