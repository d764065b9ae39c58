"""How much a pod takes on."""

from __future__ import annotations

import math


def slots(max_parallelism: int, capacity_threshold: float) -> int:
    """How many steps a pod holds at most: the given part of its parallelism, one at least.

    A hair is added before rounding down, so that 0.7 of 10 is 7 in binary fractions too.
    """
    return max(1, math.floor(max_parallelism * capacity_threshold + 1e-9))
