"""Forked processes for tests."""

from __future__ import annotations

import os
from collections.abc import Callable


class Child:
    """A forked process that runs ``work`` once :meth:`ended` is called."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._go, go = os.pipe()
        result, self._result = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            text = b"?"
            try:
                os.read(self._go, 1)
                text = repr(work()).encode()
            except BaseException as error:
                text = f"{type(error).__name__}: {error}".encode()
            finally:
                os.write(self._result, text)
                os._exit(0)
        os.close(self._go)
        os.close(self._result)
        self._go, self._result = go, result

    def ended(self) -> str:
        """Run ``work`` in it and wait. Returns the ``repr`` of its result, or its error."""
        os.write(self._go, b"x")
        text = b""
        while part := os.read(self._result, 65_536):
            text += part
        os.waitpid(self.pid, 0)
        os.close(self._go)
        os.close(self._result)
        return text.decode()
