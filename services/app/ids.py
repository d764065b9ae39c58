"""Names that nobody else has."""

from __future__ import annotations

import os
import random
import re
import secrets
import socket
import threading
import time

_lock = threading.Lock()
_last = 0
_chance = random.Random()  # seeded by the system, and a third of the time of asking that each time


def _begin_in_child() -> None:
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have held it
    _chance.seed()


os.register_at_fork(after_in_child=_begin_in_child)


def new_step_id() -> str:
    """``step-`` and a UUID of version 7 in hex: ids made later in a process sort later.

    The layout is RFC 9562's, section 5.7, its twelve bits ``rand_a`` holding the part of the
    millisecond; ids made within one tick of that are counted on, so that their order holds.
    """
    global _last
    ticks = time.time_ns() * 4096 // 1_000_000
    with _lock:
        _last = ticks = max(ticks, _last + 1)
    head = ticks >> 12 << 16 | 7 << 12 | ticks & 0xFFF
    tail = 0b10 << 62 | _chance.getrandbits(62)
    return f"step-{head << 64 | tail:032x}"


def new_token() -> str:
    """A claim token or an incarnation: 96 random bits in 16 characters. It is stored four times a
    step, and none is ever guessed at."""
    return secrets.token_urlsafe(12)


def new_pod_id() -> str:
    """A name for a pod from its host's, its process id and six random digits."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()) or "pod"
    return f"{host}-{os.getpid()}-{secrets.token_hex(3)}"
