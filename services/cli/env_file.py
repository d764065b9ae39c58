"""The file ``.env``: variables for the command line, and where an error in one of them is."""

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
"""By the name of each variable that a file has set: the file and the line."""


def load(path: Path) -> None:
    """Set the variables of the file that the environment does not have, if there is a file.

    Raises :class:`InvalidInput`, naming the file and the line but no value, for a file that cannot
    be read, and for a line that names one of our variables and is not NAME=value. Such a line of
    another program's is left out; one line on stderr says so.
    """
    text = _read(path)
    if text is None:
        return
    found: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(text)):
        source = binding.original.string
        blank_lines = source[: len(source) - len(source.lstrip())].count("\n")
        where = f"{path} line {binding.original.line + blank_lines}"
        if binding.error or (binding.key is not None and binding.value is None):
            if ours := _OURS.search(source):
                raise InvalidInput(f"{where}: {ours[0]} is not set as NAME=value")
            logs.tell(f"fleet-q: {where} is not NAME=value: left out")
        if "\0" in (binding.value or ""):
            raise InvalidInput(f"{where}: the value of {binding.key} holds a NUL")
        if binding.key is not None and binding.key not in os.environ:
            found[binding.key] = where
    logging.getLogger("dotenv.main").disabled = True  # it would tell of the same lines
    load_dotenv(stream=io.StringIO(text))
    _lines.update(found)


def located(message: str) -> str:
    """``message``, with where those of the variables that it names were set."""
    names = set(re.findall("[A-Z][A-Z0-9_]+", message)) & _lines.keys()
    where = ", ".join(sorted(_lines[name] for name in names))
    return f"{message} ({where})" if where else message


def _read(path: Path) -> str | None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except IsADirectoryError:
        if (path / "pyvenv.cfg").exists():  # a virtual environment that is called .env
            return None
        raise InvalidInput(f"{path} is a directory; settings are read from a file") from None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from None
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InvalidInput(f"{path} is UTF-16; save it as UTF-8")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidInput(f"{path} line {line} is not UTF-8") from None
