"""Generates the ids of steps and workflows."""

from __future__ import annotations

import os
import random
import threading
import time
from typing import Final

from fleet_q.core.inbox import Intake

_lock = threading.Lock()
_last = 0
_random = random.Random()  # seeded by the system; a third of the cost of secrets.randbits


def _begin_in_child() -> None:
    global _lock
    _lock = threading.Lock()  # a thread of the parent may have held it
    _random.seed()


os.register_at_fork(after_in_child=_begin_in_child)


def new_step_id() -> str:
    """Return ``step-`` and a UUIDv7 in hex; within a process, later ids sort after earlier ones.

    The layout is that of RFC 9562, section 5.7, with the fraction of the millisecond in the twelve
    bits of ``rand_a`` (method 3 of section 6.2). If the clock has not advanced since the last id,
    the last value is incremented instead.
    """
    global _last
    ticks = time.time_ns() * 4096 // 1_000_000
    with _lock:
        _last = ticks = ticks if ticks > _last else _last + 1
    head = ticks >> 12 << 16 | 7 << 12 | ticks & 0xFFF
    tail = 0b10 << 62 | _random.getrandbits(62)
    return f"step-{head << 64 | tail:032x}"


def new_workflow_id(name: str) -> str:
    """Return the id of a workflow: its name, and a UUIDv7 in hex."""
    return name + new_step_id().removeprefix("step")


INTAKE: Final = Intake(new_step_id)
"""How a store takes in the rows of its inbox unless an app says more."""
