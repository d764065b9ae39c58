"""Loads the variables of a ``.env`` file, and adds file and line to errors about them."""

from __future__ import annotations

import codecs
import io
import logging
import os
import re
from pathlib import Path
from typing import Final

from dotenv import load_dotenv
from dotenv.parser import parse_stream

from fleet_q.core.errors import InvalidInput
from fleet_q.services.worker import logs

_OURS: Final = re.compile("(FLEET_Q|SNOWFLAKE)_[A-Z_]*")

_lines: dict[str, str] = {}
"""The file and line that set each variable, by its name."""


def load(path: Path) -> None:
    """Set the variables of the file that are not set in the environment, if the file exists.

    Raises :class:`InvalidInput`, naming the file and the line but no value, if the file cannot be
    read or a line that names a variable of FLEET-Q or Snowflake is not NAME=value. Any other line
    that is not NAME=value is skipped with a line on stderr.
    """
    text = _read(path)
    if text is None:
        return
    places: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(text)):
        source = binding.original.string
        blank_lines = source[: len(source) - len(source.lstrip())].count("\n")
        where = f"{path} line {binding.original.line + blank_lines}"
        if binding.error or (binding.key is not None and binding.value is None):
            if ours := _OURS.search(source):
                raise InvalidInput(f"{where}: {ours[0]} is not written as NAME=value")
            logs.tell(f"fleet-q: {where} is not NAME=value; skipped")
        if "\0" in (binding.value or ""):
            raise InvalidInput(f"{where}: the value of {binding.key} contains a NUL; remove it")
        if binding.key is not None and binding.key not in os.environ:
            places[binding.key] = where
    logging.getLogger("dotenv.main").disabled = True  # it would warn about the same lines
    load_dotenv(stream=io.StringIO(text))
    _lines.update(places)


def located(message: str) -> str:
    """Return ``message`` with the file and line of the variables that it names."""
    names = set(re.findall("[A-Z][A-Z0-9_]+", message)) & _lines.keys()
    where = ", ".join(sorted(_lines[name] for name in names))
    return f"{message} ({where})" if where else message


def _read(path: Path) -> str | None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except IsADirectoryError:
        if (path / "pyvenv.cfg").exists():  # a virtual environment named .env
            return None
        raise InvalidInput(
            f"{path} is a directory; it must be a file of NAME=value lines"
        ) from None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from None
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InvalidInput(f"{path} is UTF-16; save it as UTF-8")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidInput(f"{path} line {line} is not UTF-8; save the file as UTF-8") from None
