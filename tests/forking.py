"""Forked processes in tests."""

from __future__ import annotations

import os
from collections.abc import Callable


class Child:
    """A forked process that runs ``work`` when it is let, and what came of that."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._go, go = os.pipe()
        result, self._result = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            told = b"?"
            try:
                os.read(self._go, 1)
                told = repr(work()).encode()
            except BaseException as error:
                told = f"{type(error).__name__}: {error}".encode()
            finally:
                os.write(self._result, told)
                os._exit(0)
        os.close(self._go)
        os.close(self._result)
        self._go, self._result = go, result

    def ended(self) -> str:
        """Let it work, and wait for it."""
        os.write(self._go, b"x")
        told = b""
        while part := os.read(self._result, 65_536):
            told += part
        os.waitpid(self.pid, 0)
        os.close(self._go)
        os.close(self._result)
        return told.decode()
