"""A logger for threads that must go on, whatever a log handler does."""

from __future__ import annotations

import contextlib
import logging
from typing import Any


class CarefulLogger(logging.LoggerAdapter[logging.Logger]):
    """Like the logger of that name, but a handler or filter that raises loses the record only:
    the service that a pod runs in has handlers of its own."""

    def __init__(self, name: str) -> None:
        super().__init__(logging.getLogger(name), {})

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        """What is logged, as it is."""
        return msg, kwargs

    def log(self, level: int, msg: Any, *args: Any, **kwargs: Any) -> None:
        """Log, and raise nothing."""
        with contextlib.suppress(BaseException):
            super().log(level, msg, *args, **kwargs)
