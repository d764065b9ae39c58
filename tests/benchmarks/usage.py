"""Measures the CPU time and memory of other processes."""

from __future__ import annotations

from importlib.util import find_spec

from tests.benchmarks.processes import Workers


def can_be_seen() -> bool:
    """Whether ``psutil``, which this needs, is installed."""
    return find_spec("psutil") is not None


class Usage:
    """The process ``pid``."""

    def __init__(self, pid: int) -> None:
        import psutil

        self._process = psutil.Process(pid)

    @property
    def cpu_seconds(self) -> float:
        """Processor time so far, in both modes."""
        times = self._process.cpu_times()
        return float(times.user + times.system)

    @property
    def memory(self) -> float:
        """Resident memory now, in MB of a million bytes."""
        return float(self._process.memory_info().rss / 1_000_000)


class CpuWatch:
    """Measures the processor time of the first worker for each call, from the first check of
    progress to the last."""

    def __init__(self) -> None:
        self._samples: list[tuple[int, float]] = []
        self._usage: Usage | None = None

    def __call__(self, workers: Workers) -> None:
        if self._usage is None:
            self._usage = Usage(workers.pids[0])
        if not workers.ended():
            self._samples.append((workers.called, self._usage.cpu_seconds))

    @property
    def seconds_per_call(self) -> float:
        (called, seconds), (called_last, seconds_last) = self._samples[0], self._samples[-1]
        return (seconds_last - seconds) / (called_last - called)
