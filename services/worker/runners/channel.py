"""The child's end of the socket between a pod and a child process."""

from __future__ import annotations

import os
import socket
import threading

from fleet_q.services.worker.runners.wire import (
    LENGTH_BYTES,
    FromChild,
    ToChild,
    decode_to_child,
    frame,
)


class Channel:
    """Sends frames from any thread; one thread receives them."""

    def __init__(self, to_pod: socket.socket) -> None:
        to_pod.set_inheritable(False)
        self._socket = to_pod
        self._inode = os.fstat(to_pod.fileno()).st_ino
        self._lock = threading.Lock()

    def send(self, message: FromChild) -> None:
        """Send a message. Raises ``OSError`` if the socket is closed."""
        data = frame(message)
        with self._lock:
            # A function may have closed the descriptor and opened a file with the same number.
            if os.fstat(self._socket.fileno()).st_ino != self._inode:
                raise OSError("the socket to the pod was closed")
            self._socket.sendall(data)

    def receive(self) -> ToChild | None:
        """The next message; ``None`` when the pod has closed its end."""
        header = self._read(LENGTH_BYTES)
        data = self._read(int.from_bytes(header)) if header else b""
        return decode_to_child(data) if data else None

    def close_copy(self) -> None:
        """Close this copy of the socket, in a forked process."""
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
