"""Text of others made safe to show: control characters are escaped."""

from __future__ import annotations

import re
from typing import Final

_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

# C0 and C1 controls, among them ESC and NEL; the line and paragraph separators; what turns the
# direction of the text around it; and halves of surrogate pairs, which no encoding has.
_UNSAFE: Final = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_unsafe_in_line: Final = re.compile(f"[{_UNSAFE}\t\n]")
_unsafe_in_text: Final = re.compile(f"[{_UNSAFE}]")
_unsafe_in_json: Final = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def one_line(text: str) -> str:
    """``text`` without line breaks or control characters: each is shown as its escape."""
    return _unsafe_in_line.sub(_escape, text)


def printable(text: str) -> str:
    """``text`` without control characters, but with its line breaks and tabs."""
    return _unsafe_in_text.sub(_escape, text)


def json_line(text: str) -> str:
    """A JSON text without what JSON lets stand and a terminal, or a reader of lines, acts on."""
    return _unsafe_in_json.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def encodable(text: str) -> str:
    """``text`` with halves of surrogate pairs shown as escapes, so that UTF-8 has it."""
    return text.encode("utf-8", "backslashreplace").decode()


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    code = ord(char)
    return _SHORT.get(char) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
