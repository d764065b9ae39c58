"""Read the JSON texts of stored steps, where one that is no JSON must not hide the other steps."""

from __future__ import annotations

from typing import Any, Final

import msgspec

INVALID_JSON: Final = "invalid_json"
"""The key under which an object shows its text, if that is none."""

_INVALID: Final = (msgspec.DecodeError, UnicodeError, RecursionError)
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_decode_texts = msgspec.json.Decoder(dict[str, str]).decode


def value_of(text: str) -> Any:
    """The JSON value, such as a result; the text itself if it is no JSON."""
    try:
        return msgspec.json.decode(text)
    except _INVALID:
        return text


def object_of(text: str) -> dict[str, Any]:
    """The JSON object, such as a payload; one that holds the text if it is none."""
    try:
        return _decode_object(text)
    except _INVALID:
        return {INVALID_JSON: text}


def labels_of(text: str | None) -> dict[str, str]:
    """The labels of a step, from its column ``labels``; likewise."""
    if text is None:
        return {}
    try:
        return _decode_texts(text)
    except _INVALID:
        return {INVALID_JSON: text}
