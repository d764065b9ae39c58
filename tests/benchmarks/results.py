"""The measured values and their ratios."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import median

from tests.benchmarks.cases.case import Figure, Measured
from tests.benchmarks.systems import LIMITS, OURS, PEERS

LIMIT = LIMITS[0].name
"""The limit for ratios: the one that keeps a history, as FLEET-Q does."""


class Results:
    """The values of every figure, by system and run."""

    def __init__(self) -> None:
        self.figures: list[Figure] = []
        self._values: dict[tuple[Figure, str], dict[int, list[float]]] = defaultdict(dict)
        self._faults: dict[tuple[Figure, str], set[str]] = defaultdict(set)

    def add(self, system: str, run: int, measured: Measured) -> None:
        """Add the values and faults of one measurement."""
        for figure, values in measured.values.items():
            self._add_figure(figure)
            self._values[figure, system][run] = list(values)
        if measured.faults:
            self.add_faults(list(measured.values), system, measured.faults)

    def add_faults(self, figures: Sequence[Figure], system: str, faults: Sequence[str]) -> None:
        """Add faults to these figures of a system, or reasons why they were not measured."""
        for figure in figures:
            self._add_figure(figure)
            self._faults[figure, system].update(faults)

    def runs(self, figure: Figure, system: str) -> list[list[float]]:
        """The values of each run."""
        return list(self._values[figure, system].values())

    def faults(self, figure: Figure, system: str) -> list[str]:
        """The faults of a system in a figure."""
        return sorted(self._faults[figure, system])

    def value(self, figure: Figure, system: str = OURS) -> float | None:
        """The figure over all runs; ``None`` if it was not measured."""
        values = [value for run in self.runs(figure, system) for value in run]
        return figure.of_all(values) if values else None

    def ratio(self, figure: Figure, to: tuple[Figure, str]) -> float | None:
        """FLEET-Q's figure divided by a figure of a system: the median over the runs, since other
        load on the machine affects both in a run."""
        ours, others = self._values[figure, OURS], self._values[to]
        ratios = [
            figure.of_all(ours[run]) / to[0].of_all(others[run])
            for run in ours.keys() & others.keys()
        ]
        return median(ratios) if ratios else None

    def ratio_to_limit(self, figure: Figure) -> float | None:
        """The ratio of FLEET-Q to the limit with history."""
        return self.ratio(figure, (figure, LIMIT))

    def best_peer(self, figure: Figure) -> str | None:
        """The fastest peer without a fault."""
        rates = {
            peer.name: value
            for peer in PEERS
            if (value := self.value(figure, peer.name)) is not None
            and not self.faults(figure, peer.name)
        }
        return max(rates, key=rates.__getitem__, default=None)

    def ratio_to_best_peer(self, figure: Figure) -> float | None:
        """The ratio of FLEET-Q to the best peer."""
        best = self.best_peer(figure)
        return self.ratio(figure, (figure, best)) if best is not None else None

    def _add_figure(self, figure: Figure) -> None:
        if figure not in self.figures:
            self.figures.append(figure)
