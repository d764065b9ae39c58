"""Reaping of orphaned processes where the pod is the first process of a container.

The first process becomes the parent of all orphans and must wait for them. If the pod did that, it
would also collect the exit codes of the children that it waits for elsewhere. So the first process
only reaps and forwards signals, and the pod runs in a child of it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

from fleet_q.services.worker.parent import end_with_parent

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
    """Return in a new child process if this process becomes the parent of orphans. This process
    then forwards signals to the child, reaps, and exits with the child's exit code. To be called
    while the process has a single thread."""
    if not _gets_orphans():
        return
    awaited = {*_FORWARDED, signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    first = os.getpid()
    pod = os.fork()
    if pod == 0:
        os.setpgid(0, 0)  # a signal to the group arrives once, forwarded
        end_with_parent(first)
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
    flag = ctypes.c_int(0)
    error = ctypes.CDLL(None).prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(flag))
    return error == 0 and flag.value == 1
