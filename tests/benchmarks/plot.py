"""Plots the rates: one panel for each figure, one bar for each system."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.cases.case import Figure
from tests.benchmarks.results import Results
from tests.benchmarks.systems import LIMITS, OURS, SYSTEMS

COLUMNS: Final = 3
OUR_COLOUR, PEER_COLOUR, LIMIT_COLOUR = "#d1495b", "#30638e", "#c9ced6"


def draw(results: Results, path: Path) -> None:
    """Write the plot to ``path``, in the format of its suffix. Needs ``matplotlib``."""
    from matplotlib.figure import Figure as Picture

    rates = [figure for figure in results.figures if figure.is_rate]
    rows = max(math.ceil(len(rates) / COLUMNS), 1)
    picture = Picture(figsize=(4.2 * COLUMNS, 2.3 * rows), layout="constrained")
    panels = list(picture.subplots(rows, COLUMNS, squeeze=False).flat)
    for panel, figure in zip(panels, rates, strict=False):
        _bars(panel, results, figure)
    for panel in panels[len(rates) :]:
        panel.axis("off")
    picture.savefig(path, dpi=120)


def _bars(panel: Any, results: Results, figure: Figure) -> None:
    limits = {limit.name for limit in LIMITS}
    rates = {
        system.name: rate
        for system in reversed(SYSTEMS)
        if (rate := results.value(figure, system.name)) is not None
    }
    colours = [
        OUR_COLOUR if name == OURS else LIMIT_COLOUR if name in limits else PEER_COLOUR
        for name in rates
    ]
    bars = panel.barh(list(rates), list(rates.values()), color=colours)
    panel.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=8)
    panel.set_title(f"{figure.title}, a second", fontsize=10, loc="left")
    panel.margins(x=0.2)
    panel.tick_params(labelsize=8, length=0)
    panel.xaxis.set_visible(False)
    panel.spines[["top", "right", "bottom"]].set_visible(False)
