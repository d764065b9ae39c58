"""The small process between a pod and one of its child processes.

It leads the process group of the child and waits for two things. When the child has ended, or
cannot be started, it tells the pod the wait status, or the negative error number. When the pod
closes its end of the socket, or has itself ended in whatever way, nobody is left to tell. In each
case it kills the whole group: the child, what the child started, and itself. A function that
keeps the interpreter lock for ever cannot prevent that.

It is run as a file with ``-S -P``, so it imports nothing of the application.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import struct
import sys


def main(socket: int, command: list[str]) -> None:
    """Start ``command`` and end with it. ``socket`` is the descriptor that leads to the pod."""
    os.set_inheritable(socket, False)
    # Sent to all processes of a service, these are for the pod to answer. The child inherits that
    # they are ignored, until it has handlers of its own.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    wake, wakened = os.pipe()
    os.set_blocking(wakened, False)
    signal.set_wakeup_fd(wakened)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    try:
        child = os.posix_spawn(command[0], command, os.environ)
    except OSError as error:
        os.write(socket, struct.pack("!i", -(error.errno or 0)))
        return
    poll = select.poll()
    poll.register(socket, select.POLLIN)
    poll.register(wake, select.POLLIN)
    while True:
        ready = [descriptor for descriptor, _ in poll.poll()]
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            with contextlib.suppress(OSError):
                os.write(socket, struct.pack("!i", status))
        if ended or socket in ready:
            os.killpg(0, signal.SIGKILL)
        os.read(wake, 100)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
