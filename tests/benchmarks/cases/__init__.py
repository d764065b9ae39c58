"""The cases, by the name that they have on the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tests.benchmarks.cases import backlog, drain, latency, lists, memory, submit
from tests.benchmarks.cases.case import Measurement
from tests.benchmarks.sizes import Sizes
from tests.benchmarks.stores import Stores
from tests.benchmarks.systems.system import System

CASES: Final[Mapping[str, Callable[[Sequence[type[System]], Sizes, Stores], list[Measurement]]]] = {
    "submit": submit.measurements,
    "drain": drain.measurements,
    "latency": latency.measurements,
    "backlog": backlog.measurements,
    "lists": lists.measurements,
    "memory": memory.measurements,
}
