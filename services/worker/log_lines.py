"""Formatters that make one line of a log record: text for people, JSON for machines."""

from __future__ import annotations

import logging
import re
from typing import Any, Final

import msgspec

from fleet_q.core.retry import MICROS
from fleet_q.services.app.context import current
from fleet_q.services.app.views import quickstart_timestamp
from fleet_q.services.worker.escapes import encodable, json_line, one_line

_TAGS: Final = ("pod", "step", "attempt")
_plain_tag: Final = re.compile(r'[^\s="]+')


class Tagging(logging.Filter):
    """Adds ``pod`` to records without one, and ``step`` and ``attempt`` to those that a step's
    function logs."""

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


class TextFormatter(logging.Formatter):
    """``TIME - LOGGER - LEVEL - MESSAGE TAGS``, then the traceback, all with line breaks and
    control characters escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """Format ``record``. Does not raise: a part that cannot be formatted is replaced by the
        reason."""
        name = _text(record.name).removeprefix("fleet_q.")
        tags = "".join(f" {tag}={_quoted(value)}" for tag, value in _tags(record).items())
        line = f"{_time(record)} - {name} - {record.levelname} - {_message(record)}{tags}"
        for details in _details(self, record).values():
            line += f"\n{details}"
        return one_line(line)


class JsonFormatter(logging.Formatter):
    """A JSON object with ``time``, ``level``, ``logger``, ``message``, the tags, ``traceback`` and
    ``stack``."""

    def format(self, record: logging.LogRecord) -> str:
        """Format ``record``. Does not raise: a part that cannot be formatted is replaced by the
        reason."""
        line: dict[str, Any] = {
            "time": f"{_time(record)}Z".replace(" ", "T"),
            "level": str(record.levelname).lower(),
            "logger": record.name,
            "message": _message(record),
            **_tags(record),
            **_details(self, record),
        }
        try:
            encoded = msgspec.json.encode(line, enc_hook=str)
        except Exception:
            encoded = msgspec.json.encode({k: encodable(_text(v)) for k, v in line.items()})
        return json_line(encoded.decode())


def _tags(record: logging.LogRecord) -> dict[str, Any]:
    return {tag: value for tag in _TAGS if (value := getattr(record, tag, None)) is not None}


def _quoted(value: Any) -> str:
    """``value`` as text, quoted if it holds a space, a quote or an equals sign."""
    text = _text(value)
    return text if _plain_tag.fullmatch(text) else '"' + text.replace('"', '\\"') + '"'


def _time(record: logging.LogRecord) -> str:
    micros = int(record.created * MICROS)
    return f"{quickstart_timestamp(micros)}.{micros % MICROS // 1_000:03d}"


def _message(record: logging.LogRecord) -> str:
    try:
        return str(record.getMessage())
    except Exception as error:
        reason = f"{type(error).__name__}: {_text(error)}"
        return f"{_text(record.msg)} (its arguments cannot be formatted: {reason})"


def _details(formatter: logging.Formatter, record: logging.LogRecord) -> dict[str, str]:
    details = {}
    if record.exc_info:
        try:
            details["traceback"] = formatter.formatException(record.exc_info)
        except Exception:
            details["traceback"] = f"{_text(record.exc_info)} (its traceback cannot be formatted)"
    elif record.exc_text:  # the record was formatted in another process
        details["traceback"] = record.exc_text
    if record.stack_info:
        details["stack"] = record.stack_info
    return details


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception as error:
        return f"<{type(value).__name__} whose str() raises {type(error).__name__}>"
