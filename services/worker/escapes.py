"""Escape control characters in untrusted text, for terminals and logs."""

from __future__ import annotations

import re
from typing import Final

_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

# C0 and C1 controls, among them ESC and NEL; line and paragraph separators; bidirectional
# formatting characters; and lone surrogates, which UTF-8 cannot encode.
_UNSAFE: Final = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_unsafe_in_line: Final = re.compile(f"[{_UNSAFE}\t\n]")
_unsafe_in_text: Final = re.compile(f"[{_UNSAFE}]")
_unsafe_in_json: Final = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def one_line(text: str) -> str:
    """``text`` with line breaks, tabs and control characters replaced by their escapes."""
    return _unsafe_in_line.sub(_escape, text)


def printable(text: str) -> str:
    """``text`` with control characters escaped; line breaks and tabs stay."""
    return _unsafe_in_text.sub(_escape, text)


def json_line(text: str) -> str:
    """A JSON text with the control characters escaped that JSON allows in strings, but terminals
    and line readers interpret."""
    return _unsafe_in_json.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def encodable(text: str) -> str:
    """``text`` with lone surrogates escaped, so that it can be encoded as UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    code = ord(char)
    return _SHORT.get(char) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
