"""Logging to stderr, one line a record, as text or JSON."""

from __future__ import annotations

import logging
import os
import sys

from fleet_q.services.app.settings import Settings
from fleet_q.services.worker.careful_log import wait_for_handlers
from fleet_q.services.worker.log_lines import JsonFormatter, Tagging, TextFormatter
from fleet_q.services.worker.log_writer import FLUSH_WITHIN, LineHandler


def configure(settings: Settings, pod_id: str | None = None) -> None:
    """Send every log record of this process to stderr in the settings' format.

    Each line names the pod; lines about a step, or logged by its function, name the step and the
    attempt. A child process sends its records to the pod instead.
    """
    handler = LineHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else TextFormatter())
    handler.addFilter(Tagging(pod_id))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    for name in ("uvicorn", "snowflake.connector"):  # their info lines are many
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.root.level))


def is_configured() -> bool:
    """Whether :func:`configure` has set up the log of this process."""
    return bool(_handlers())


def flush(timeout: float = FLUSH_WITHIN) -> bool:
    """Wait until every record so far is written, for up to ``timeout`` seconds. Returns whether
    they are. To be called before ``os._exit``."""
    return wait_for_handlers(timeout) and all(handler.wait(timeout) for handler in _handlers())


def tell(text: str) -> None:
    """Write ``text`` and a line break to stderr. Waits up to ``FLUSH_WITHIN`` for a reader."""
    handler = LineHandler(sys.stderr)
    handler.handle(logging.LogRecord("", logging.ERROR, "", 0, "%s", (text,), None))
    handler.flush()
    handler.close()


def _handlers() -> list[LineHandler]:
    return [handler for handler in logging.root.handlers if isinstance(handler, LineHandler)]


def _after_fork() -> None:
    for handler in _handlers():
        handler.reset()


os.register_at_fork(after_in_child=_after_fork)
