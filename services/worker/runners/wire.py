"""The messages between a pod and its child processes: frames of MessagePack on a socket.

A frame is the length of the message in four bytes, big-endian, and the message. A socket needs
neither semaphores nor shared memory, and nothing is unpickled.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from fleet_q.core.step import Step, Submit
from fleet_q.services.app.settings import Settings
from fleet_q.services.worker.runners.address import Address

LENGTH_BYTES: Final = 4

LOST_CONNECTION: Final = 76
"""The exit code of a child whose socket to the pod fails: EX_PROTOCOL of ``sysexits.h``."""


class Start(msgspec.Struct, tag=True):
    """The first message to a child: its pod, the settings, the levels of the pod's loggers by name,
    what the child needs to import the application, and whether what functions print is logged."""

    pod_id: str
    settings: Settings
    log_levels: dict[str, int]
    preparation: dict[str, Any]
    logs_prints: bool = False


class Run(msgspec.Struct, tag=True):
    """Run this step. The child sends ``Began`` and then ``Ended``. If ``asks_to_begin``, it first
    sends ``Ready`` and waits for ``Begin``."""

    step: Step
    address: Address
    asks_to_begin: bool = False


class Begin(msgspec.Struct, tag=True):
    """Call the function."""


class Ready(msgspec.Struct, tag=True):
    """The function was found and its arguments are valid."""


class Began(msgspec.Struct, tag=True):
    """The function begins."""


class Ended(msgspec.Struct, tag=True):
    """The function returned ``result``, a JSON text, and spawned ``children``, of which some are
    ``detached``; or the attempt failed with ``error``.
    ``permanent`` tells that it must not be retried; ``kinds`` are the names of the classes of the
    function's exception. With ``snooze``, the function put its step off for so many seconds."""

    result: str | None = None
    error: str | None = None
    traceback: str | None = None
    permanent: bool = False
    kinds: list[str] | None = None
    snooze: float | None = None
    children: list[Submit] = []
    detached: list[str] = []


class Save(msgspec.Struct, tag=True):
    """The function saves ``checkpoint``, a JSON text, on this ``version`` of its step. The pod
    answers with ``Saved``."""

    checkpoint: str
    version: int


class Reported(msgspec.Struct, tag=True):
    """The function reports its ``progress``, a JSON text."""

    progress: str


class Saved(msgspec.Struct, tag=True):
    """The pod has stored a checkpoint; or the claim is lost, or the store raised ``error``, which
    may pass if ``is_unavailable``."""

    is_lost: bool = False
    error: str | None = None
    is_unavailable: bool = False


class Logged(msgspec.Struct, tag=True):
    """The attributes of a log record."""

    record: dict[str, Any]


ToChild = Start | Run | Begin | Saved
FromChild = Ready | Began | Ended | Save | Reported | Logged

decode_to_child: Final = msgspec.msgpack.Decoder(ToChild).decode
decode_from_child: Final = msgspec.msgpack.Decoder(FromChild).decode
_encode: Final = msgspec.msgpack.Encoder().encode


def frame(message: ToChild | FromChild) -> bytes:
    """The frame that holds ``message``."""
    data = _encode(message)
    return len(data).to_bytes(LENGTH_BYTES) + data
