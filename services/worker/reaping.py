"""A pod as the first process of a container, which gets the orphans of all others as children.

Nobody but the first process can wait for them, and one that waited for whatever child there is
would take the exit codes of those that the pod itself waits for. So the first process does nothing
else, and the pod runs in a process of its own.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_GET_CHILD_SUBREAPER: Final = 37
_FORWARDED: Final = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


def reap_orphans() -> None:
    """If this process gets orphans as children, go on in a new one; this one forwards signals to
    it, reaps, and exits with its exit code. To be called while there is one thread."""
    if not _gets_orphans():
        return
    awaited = {*_FORWARDED, signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    first = os.getpid()
    pod = os.fork()
    if pod == 0:
        os.setpgid(0, 0)  # what is sent to the whole group comes once, from the first process
        _end_with(first)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    while True:
        number = signal.sigwait(awaited)
        if number != signal.SIGCHLD:
            os.kill(pod, number)
            continue
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == pod:
                code = os.waitstatus_to_exitcode(ended[1])
                os._exit(code if code >= 0 else 128 - code)


def _gets_orphans() -> bool:
    if os.getpid() == 1:
        return True
    if sys.platform != "linux":
        return False
    answer = ctypes.c_int(0)
    asked = ctypes.CDLL(None).prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(answer))
    return asked == 0 and answer.value == 1


def _end_with(first: int) -> None:
    """Be killed when the first process is: the kernel does that by itself only for process 1."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != first:
        os._exit(1)
