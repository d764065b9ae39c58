"""How many steps a pod runs at once."""

from __future__ import annotations

import math


def slots(max_parallelism: int, capacity_threshold: float) -> int:
    """The maximum number of steps that a pod runs at once: ``max_parallelism`` times
    ``capacity_threshold``, rounded down, but at least 1.

    1e-9 is added before rounding, so that 10 * 0.7 gives 7 despite binary fractions.
    """
    return max(1, math.floor(max_parallelism * capacity_threshold + 1e-9))
