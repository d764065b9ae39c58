"""Turns an exception into texts that every store accepts, even if its own methods raise."""

from __future__ import annotations

import traceback
from collections import deque
from typing import Final

LONGEST_ERROR: Final = 2_000
LONGEST_TRACEBACK: Final = 20_000
"""The most bytes of UTF-8 that are stored. An error's message is cut at its end, a traceback at its
beginning, because its last lines show where the exception was raised."""

_CUT: Final = " [cut: it is longer]"
_CUT_BEFORE: Final = "[the beginning is cut]\n"


def described(error: BaseException) -> tuple[str, str | None]:
    """Return the error's type and message, and its traceback."""
    return message_of(error), traceback_of(error)


def message_of(error: BaseException) -> str:
    """Return the error's type and message; the type alone if ``str(error)`` raises."""
    name = "an exception"
    try:
        name = f"{type(error).__name__}"
        text = f"{name}: {error}"
    except BaseException:  # raised by the code of the exception itself
        text = name
    return shortened(text).rstrip(": ")


def traceback_of(error: BaseException) -> str | None:
    """Return the traceback; without messages if formatting them raises, else ``None``."""
    try:
        return _end_of(traceback.TracebackException(type(error), error, error.__traceback__))
    except BaseException:
        pass
    try:
        lines = traceback.format_tb(error.__traceback__)
        return _joined(deque(map(_encoded, lines)), is_whole=True)
    except BaseException:
        return None


def shortened(text: str) -> str:
    """Return ``text`` cut to what is stored of an error, with a mark if it was cut."""
    data = _encoded(text[: LONGEST_ERROR + 1])
    if len(data) <= LONGEST_ERROR:
        return data.decode()
    return data[: LONGEST_ERROR - len(_CUT)].decode(errors="ignore") + _CUT


def _end_of(error: traceback.TracebackException) -> str:
    """Return the traceback's last lines. Each line is cut when it is formatted and only the last
    are held, because a message may have a gigabyte and a chain of exceptions may be long."""
    kept: deque[bytes] = deque()
    size, is_whole = 0, True
    for line in error.format():
        data = _encoded(line if len(line) <= LONGEST_ERROR else shortened(line) + "\n")
        kept.append(data)
        size += len(data)
        while size - len(kept[0]) > LONGEST_TRACEBACK:
            size -= len(kept.popleft())
            is_whole = False
    return _joined(kept, is_whole=is_whole)


def _joined(lines: deque[bytes], *, is_whole: bool) -> str:
    data = b"".join(lines)
    if is_whole and len(data) <= LONGEST_TRACEBACK:
        return data.decode()
    return _CUT_BEFORE + data[len(_CUT_BEFORE) - LONGEST_TRACEBACK :].decode(errors="ignore")


def _encoded(text: str) -> bytes:
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace")
