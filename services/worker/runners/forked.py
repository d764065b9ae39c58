"""Ends a process that a function has forked and that returns from the function.

It has a copy of the runner, its thread and its event loop. If it returned to them, it would run the
waiting steps a second time.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback

_process = object()


def this_process() -> object:
    """An object that identifies this process: a forked process gets another one."""
    return _process


def end_if_forked(process: object, error: BaseException | None = None) -> None:
    """Exit if this process was forked from ``process``, with the exit code that a script would
    have after ``error``, or after none. Called after each step, so it makes no system call."""
    if process is _process:
        return
    try:
        code = _exit_code(error)
        flush_output()
    except BaseException:
        code = 1
    os._exit(code & 0xFF)


def _after_fork() -> None:
    global _process
    _process = object()


os.register_at_fork(after_in_child=_after_fork)


def flush_output() -> None:
    """Flush stdout and stderr."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()


def _exit_code(error: BaseException | None) -> int:
    if error is None:
        return 0
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        print(error.code, file=sys.stderr)
    else:
        traceback.print_exception(error)
    return 1
