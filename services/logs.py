"""Logs on stderr, one line each: for people, or as JSON for machines."""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

import msgspec

from fleet_q.services.context import current
from fleet_q.services.settings import Settings
from fleet_q.services.views import precise

_TAGS: Final = ("pod", "step", "attempt")


def configure(settings: Settings, pod_id: str | None = None) -> None:
    """Send every log record of this process to stderr in the settings' format.

    Each line names the pod, and within a step's function, or about a step, the step and attempt.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if settings.log_format == "json" else _TextFormatter())
    handler.addFilter(_Tagging(pod_id))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    for talkative in ("uvicorn", "snowflake.connector"):
        logging.getLogger(talkative).setLevel(max(logging.WARNING, logging.root.level))


class _Tagging(logging.Filter):
    """Adds what a record does not say itself."""

    def __init__(self, pod_id: str | None) -> None:
        super().__init__()
        self._pod_id = pod_id

    def filter(self, record: logging.LogRecord) -> bool:
        context = current.get()
        if context is not None and getattr(record, "step", None) is None:
            record.step, record.attempt = context.step_id, context.attempt
        if getattr(record, "pod", None) is None:
            record.pod = self._pod_id
        return True


def _tags(record: logging.LogRecord) -> dict[str, Any]:
    return {tag: value for tag in _TAGS if (value := getattr(record, tag, None)) is not None}


def _time(record: logging.LogRecord) -> str:
    return precise(int(record.created * 1_000_000))[:-3]


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        name = record.name.removeprefix("fleet_q.")
        tags = "".join(f" {tag}={value}" for tag, value in _tags(record).items())
        line = f"{_time(record)} - {name} - {record.levelname} - {record.getMessage()}{tags}"
        return line if not record.exc_info else f"{line}\n{self.formatException(record.exc_info)}"


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_tags(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()
