"""Log records of child processes. A child sends them to its pod, whose root handlers handle them.

They are therefore formatted and written like the pod's own records, in whole lines.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from fleet_q.services.app.context import current
from fleet_q.services.worker.escapes import encodable
from fleet_q.services.worker.runners.wire import Logged

_PLAIN: Final = (str, int, float, bool, type(None))
_LARGEST: Final = 2**63
_LONGEST: Final = 1024 * 1024
"""The most characters that are sent of one attribute, such as a message or a traceback."""


class LogsToPod(logging.Handler):
    """A handler that sends records to the pod, tagged with the pod, step and attempt."""

    def __init__(self, send: Callable[[Logged], None], pod_id: str) -> None:
        super().__init__()
        self._send = send
        self._pod_id = pod_id
        self._formatter = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        """Send ``record``. An error is reported by ``logging.Handler.handleError``."""
        try:
            self._send(Logged(self._attributes(record)))
        except Exception:
            self.handleError(record)

    def _attributes(self, record: logging.LogRecord) -> dict[str, Any]:
        attributes = {name: value for name, value in vars(record).items() if _is_plain(value)}
        attributes.setdefault("pod", self._pod_id)
        context = current.get()
        if context is not None and attributes.get("step") is None:
            attributes["step"], attributes["attempt"] = context.step_id, context.attempt
        attributes["msg"] = record.getMessage()
        if record.exc_info and not record.exc_text:
            attributes["exc_text"] = self._formatter.formatException(record.exc_info)
        return {name: _bounded(value) for name, value in attributes.items()}


def levels() -> dict[str, int]:
    """The levels of this process's loggers, by name, of those with a level of their own."""
    loggers = [*logging.root.manager.loggerDict.values(), logging.root]
    return {
        logger.name: logger.level
        for logger in loggers
        if isinstance(logger, logging.Logger) and logger.level
    }


def set_levels(levels: dict[str, int]) -> None:
    """Set the levels of loggers, by name."""
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def handle(attributes: dict[str, Any]) -> None:
    """Call the root logger's handlers with a child's record. To be called in the pod."""
    logging.root.callHandlers(logging.makeLogRecord(attributes))


def _is_plain(value: object) -> bool:
    return isinstance(value, _PLAIN) and not (isinstance(value, int) and abs(value) >= _LARGEST)


def _bounded(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return encodable(value[:_LONGEST])
