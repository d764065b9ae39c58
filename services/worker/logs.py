"""Logs on stderr, one line each: for people, or as JSON for machines."""

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

    Each line names the pod, and within a step's function, or about a step, the step and attempt.
    A child process configures its own.
    """
    handler = LineHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else TextFormatter())
    handler.addFilter(Tagging(pod_id))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    for talkative in ("uvicorn", "snowflake.connector"):
        logging.getLogger(talkative).setLevel(max(logging.WARNING, logging.root.level))


def flush(timeout: float = FLUSH_WITHIN) -> bool:
    """Wait until what was logged is written, ``timeout`` seconds at most; whether it is. Call it
    before ``os._exit``."""
    return wait_for_handlers(timeout) and all(handler.wait(timeout) for handler in _handlers())


def tell(text: str) -> None:
    """Write ``text`` and a line break to stderr, unless nobody reads it."""
    handler = LineHandler(sys.stderr)
    handler.handle(logging.LogRecord("", logging.ERROR, "", 0, "%s", (text,), None))
    handler.flush()


def _handlers() -> list[LineHandler]:
    return [each for each in logging.root.handlers if isinstance(each, LineHandler)]


def _after_fork() -> None:
    for handler in _handlers():
        handler.forget()


os.register_at_fork(after_in_child=_after_fork)
