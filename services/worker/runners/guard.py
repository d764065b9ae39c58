"""The guard: a small process that starts one child process of a pod, and kills it with the pod.

When the child has ended, the guard sends its wait status to the pod; if the child cannot be
started, the negative error number. When the pod shuts down its end of the socket, or has ended in
any way, the guard kills the child. In both cases it kills the child's process group, which
includes the programs that the child started, and exits. It is a process of its own because a
function may hold the interpreter lock for ever.

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
    """Start ``command``, and exit when it has ended. ``socket`` is the descriptor of the socket to
    the pod."""
    os.set_inheritable(socket, False)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    # A service manager sends these to all processes of a service; only the pod handles them. The
    # child inherits that they are ignored, until it sets its own handlers.
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
