"""What a process uses, from outside."""

from __future__ import annotations

from importlib.util import find_spec


def can_be_seen() -> bool:
    """Whether ``psutil`` is there to see it with."""
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
