"""The small process between a pod and one of its child processes.

It waits for two things. When the child has ended, or cannot be started, it tells the pod the wait
status, or the negative error number. When the pod shuts its end of the socket down, or has itself
ended in whatever way, it kills the child. In each case it kills the child's whole process group,
which is what the child started, and ends. A function that keeps the interpreter lock for ever
cannot prevent that.

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
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    # Sent to all processes of a service, these are for the pod to answer. The child inherits that
    # they are ignored, until it has handlers of its own.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    wake, wakened = os.pipe()
    os.set_blocking(wakened, False)
    signal.set_wakeup_fd(wakened)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    try:
        child = os.posix_spawn(command[0], command, os.environ, setpgroup=0)
    except OSError as error:
        os.write(socket, struct.pack("!i", -(error.errno or 0)))
        return
    poll = select.poll()
    poll.register(socket, select.POLLIN)
    poll.register(wake, select.POLLIN)
    ended, status = 0, 0
    while not ended:
        ready = [descriptor for descriptor, _ in poll.poll()]
        ended, status = os.waitpid(child, os.WNOHANG)
        if socket in ready:
            break
        os.read(wake, 100)
    with contextlib.suppress(OSError):
        os.killpg(child, signal.SIGKILL)
    if not ended:
        _, status = os.waitpid(child, 0)
    with contextlib.suppress(OSError):
        os.write(socket, struct.pack("!i", status))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
