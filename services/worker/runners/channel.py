"""A child's end of the socket to its pod."""

from __future__ import annotations

import os
import socket
import threading
from typing import Final

from fleet_q.services.worker.runners.wire import (
    LENGTH_BYTES,
    FromChild,
    ToChild,
    decode_to_child,
    frame,
)

LONGEST: Final = 2**32 - 1


class Channel:
    """Sends whole frames from any thread, receives in one."""

    def __init__(self, to_pod: socket.socket) -> None:
        to_pod.set_inheritable(False)
        self._socket = to_pod
        self._inode = os.fstat(to_pod.fileno()).st_ino
        self._lock = threading.Lock()

    def send(self, message: FromChild) -> None:
        """Send a message; ``OSError`` if that is no longer possible."""
        data = frame(message)
        with self._lock:
            # A function may close any descriptor, and open a file that then has its number.
            if os.fstat(self._socket.fileno()).st_ino != self._inode:
                raise OSError("the socket to the pod was closed")
            self._socket.sendall(data)

    def receive(self) -> ToChild | None:
        """The next message; ``None`` when the pod has closed its end."""
        header = self._read(LENGTH_BYTES)
        data = self._read(int.from_bytes(header)) if header else b""
        return decode_to_child(data) if data else None

    def forget(self) -> None:
        """Close this copy of the socket, in a process that was forked."""
        self._socket.close()
        self._lock = threading.Lock()

    def _read(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            part = self._socket.recv(count - len(data))
            if not part:
                return b""
            data += part
        return bytes(data)
