"""A plot of the fleet over time."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from fleet_q.core.errors import InvalidInput
from fleet_q.services.simulation.fleet import Outcome

SUFFIXES = (".png", ".svg", ".pdf")


def check_can_plot(path: Path) -> None:
    """Raise :class:`InvalidInput` if ``path`` cannot be plotted to; called before a simulation,
    which may take long."""
    if path.suffix not in SUFFIXES:
        raise InvalidInput(f"a picture must be one of {', '.join(SUFFIXES)}, not {path.name!r}")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise InvalidInput("pictures need matplotlib: pip install 'fleet-q[plot]'") from None


def plot_outcome(outcome: Outcome, path: Path) -> None:
    """Plot pods, steps, throughput and the queue of the busiest lock, one above the other."""
    from matplotlib.figure import Figure

    samples = outcome.fleet.measures.samples
    hours = [sample.seconds / 3_600 for sample in samples]
    figure = Figure(figsize=(10, 9), layout="constrained")
    pods, steps, rate, locks = figure.subplots(4, sharex=True)
    scenario = outcome.scenario
    pods.set_title(
        f"{len(scenario.pods):,} pods on {scenario.store} tables, seed {scenario.seed}",
        loc="left",
    )
    pods.plot(hours, [s.processes for s in samples], label="processes", color="#888888")
    pods.plot(hours, [s.pods_up for s in samples], label="up", color="#1b7837")
    pods.plot(hours, [s.pods_asleep for s in samples], label="asleep", color="#762a83")
    steps.plot(hours, [s.pending for s in samples], label="pending", color="#e08214")
    steps.plot(hours, [s.claimed for s in samples], label="claimed", color="#2166ac")
    rates = [
        (after.completed - before.completed) / max(after.seconds - before.seconds, 1e-9) * 60
        for before, after in pairwise(samples)
    ]
    rate.plot(hours[1:], rates, label="completed a minute", color="#1b7837")
    locks.plot(hours, [s.lock_queue for s in samples], label="wait for a lock", color="#b2182b")
    locks.set_xlabel("hours")
    for axes in (pods, steps, rate, locks):
        axes.set_ylim(bottom=0)
        axes.legend(loc="upper right", frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)
