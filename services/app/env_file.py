"""Reads a file ``.env``, and adds the file and the line to errors about its variables."""

from __future__ import annotations

import codecs
import io
import os
import re
from collections import ChainMap
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from dotenv.parser import parse_stream
from dotenv.variables import parse_variables

from fleet_q.core.errors import InvalidInput

NAME: Final = ".env"

_OURS: Final = re.compile("(FLEET_Q|SNOWFLAKE)_[A-Z_]*")


class EnvFile(NamedTuple):
    """The variables of a file; ``places`` are the file and line of each, ``skipped`` those of the
    lines that are not NAME=value."""

    variables: Mapping[str, str]
    places: Mapping[str, str]
    skipped: list[str]

    def located(self, message: str) -> str:
        """Return ``message`` with the file and line of the variables that it names."""
        names = set(re.findall("[A-Z][A-Z0-9_]+", message)) & self.places.keys()
        where = ", ".join(sorted(self.places[name] for name in names))
        return f"{message} ({where})" if where else message


EMPTY: Final = EnvFile({}, {}, [])


def read(path: Path) -> EnvFile:
    """Read the variables of a file that are not set in the environment; none if it does not exist.

    Values may refer to other variables as ``${NAME}``. Raises :class:`InvalidInput`, naming the
    file and the line but no value, if the file cannot be read or a line that names a variable of
    FLEET-Q or Snowflake is not NAME=value.
    """
    text = _text(path)
    if text is None:
        return EMPTY
    values: dict[str, str] = {}
    places: dict[str, str] = {}
    skipped: list[str] = []
    for binding in parse_stream(io.StringIO(text)):
        source = binding.original.string
        blank_lines = source[: len(source) - len(source.lstrip())].count("\n")
        where = f"{path} line {binding.original.line + blank_lines}"
        if binding.error or (binding.key is not None and binding.value is None):
            if ours := _OURS.search(source):
                raise InvalidInput(f"{where}: {ours[0]} is not written as NAME=value")
            skipped.append(where)
        if "\0" in (binding.value or ""):
            raise InvalidInput(f"{where}: the value of {binding.key} contains a NUL; remove it")
        if binding.key is not None and binding.value is not None:
            known = ChainMap(os.environ, values)
            values[binding.key] = "".join(
                atom.resolve(known) for atom in parse_variables(binding.value)
            )
            places[binding.key] = where
    is_new = {name for name in values if name not in os.environ}
    return EnvFile(
        {name: values[name] for name in is_new}, {name: places[name] for name in is_new}, skipped
    )


def settings_of(path: Path) -> EnvFile:
    """Read the variables of FLEET-Q and Snowflake of a file, as :func:`read` does."""
    file = read(path)
    ours = {name: text for name, text in file.variables.items() if _OURS.match(name)}
    return EnvFile(ours, file.places, file.skipped)


def _text(path: Path) -> str | None:
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
