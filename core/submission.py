"""What may be submitted: the checks between a caller's values and a :class:`Submit` command."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from fleet_q.core.errors import InvalidInput
from fleet_q.core.retry import micros
from fleet_q.core.settings import MAX_SECONDS
from fleet_q.core.step import Submit

MAX_PAYLOAD_BYTES: Final = 1024 * 1024
"""The largest payload taken by default, in bytes of JSON."""

MAX_RESULT_BYTES: Final = 1024 * 1024
"""The largest result kept by default, likewise."""

NO_LIMIT: Final = 2**63 - 1

MAX_ID_LENGTH: Final = 200
"""Characters in an id, at most: enough for any name, and still cheap in every index."""

MAX_PRIORITY: Final = 2**31 - 1
MAX_RETRIES: Final = 2**31 - 1
"""Bounds that every store's integer columns hold with room to spare."""

MAX_DEPTH: Final = 200
"""Objects and arrays within each other, at most; every JSON reader follows that far."""

_PLAIN: Final = frozenset({str, int, bool, type(None)})
_encode_plain = msgspec.json.Encoder().encode
_encode = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode


def to_json(value: object, what: str, most: int = NO_LIMIT) -> str:
    """``value`` as a JSON text that reads back as the same value; ``what`` names it in the error.

    Raises :class:`InvalidInput` for whatever JSON does not have: NaN and infinities, half a
    surrogate pair, objects of other types, keys that are not texts. So it does for more than
    ``most`` bytes of UTF-8, and where possible before they are made: an encoder keeps all other
    threads from running until it is done.
    """
    text = _plain_json(value, what, most)
    if text is None:
        _check_least(_least_size(value, most), what, most)
        text = _any_json(value, what)
    if (len(text) if text.isascii() else _size(text)) > most:
        raise InvalidInput(f"{what} has {_size(text)} bytes; at most {most} are taken")
    return text


def _any_json(value: object, what: str) -> str:
    try:
        text = _encode(value)
        _size(text)
    except UnicodeEncodeError:
        raise InvalidInput(f"{what} holds text that is not valid Unicode") from None
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{what} is not JSON: {error}") from None
    except RecursionError:
        raise InvalidInput(f"{what} is nested more than {MAX_DEPTH} deep") from None
    if text.count("{") + text.count("[") > 1:
        _check_shape(value, what)
    elif isinstance(value, dict):
        _check_keys(value, what)
    return text


def _plain_json(value: object, what: str, most: int) -> str | None:
    """The short way for what most payloads and results are: a text, a whole number, or an object
    of these. ``None`` if it is anything else, or not fit to be stored."""
    size = 0
    if type(value) is dict:
        for key, each in value.items():
            kind = type(each)
            if type(key) is not str or kind not in _PLAIN:
                return None
            size += len(key)
            if kind is str:
                size += len(each)
    elif type(value) is str:
        size = len(value) + 2
    elif type(value) not in _PLAIN:
        return None
    if size > most:
        _check_least(size, what, most)
    try:
        return _encode_plain(value).decode()
    except (UnicodeEncodeError, OverflowError):
        return None


def _check_least(least: int, what: str, most: int) -> None:
    if least > most:
        raise InvalidInput(f"{what} has at least {least} bytes; at most {most} are taken")


def _least_size(value: object, most: int) -> int:
    """Bytes that ``value`` has as JSON at least; counted no further than a little past ``most``."""
    size = 0
    layer: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for each in layer:
            if isinstance(each, str):
                size += len(each)
            elif isinstance(each, dict):
                size += 4 * len(each)  # quotes, a colon, a value, and a comma or brace
                if size <= most:
                    inner += each
                    inner += each.values()
            elif isinstance(each, list | tuple):
                size += 2 * len(each)
                if size <= most:
                    inner += each
            if size > most:
                return size
        if not inner:
            break
        layer = inner
    return size


def check_id(value: object, what: str) -> str:
    """``value`` as an id: any text of 1 to 200 characters without NUL."""
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_ID_LENGTH or "\0" in value:
        raise InvalidInput(f"{what} must be a text of 1 to {MAX_ID_LENGTH} characters without NUL")
    try:
        _size(value)
    except UnicodeEncodeError:
        raise InvalidInput(f"{what} holds text that is not valid Unicode") from None
    return value


def check_retries(value: object) -> None:
    """``value`` as ``max_retries``: a whole number of 0 or more that every store can hold."""
    _whole(value, "max_retries", 0, MAX_RETRIES)


def check_seconds(value: object, what: str) -> None:
    """``value`` as a duration in seconds: a number of 0 or more, ten years at most."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput(f"{what} must be a number of seconds, not {_name(value)}")
    if not 0 <= value <= MAX_SECONDS:
        raise InvalidInput(f"{what} must be between 0 and {MAX_SECONDS:.0f} seconds")


def submission(
    payload: object,
    *,
    step_id: str,
    priority: int = 0,
    max_retries: int = 3,
    delay: float = 0,
    unique: bool = False,
    max_payload_bytes: int = MAX_PAYLOAD_BYTES,
) -> Submit:
    """The command that submits ``payload``, a JSON object; ``delay`` is in seconds; ``unique``
    says that ``step_id`` was made for it.

    Raises :class:`InvalidInput` with a message that says what is wrong.
    """
    if not isinstance(payload, dict):
        raise InvalidInput(f"payload must be a JSON object, not {_name(payload)}")
    text = to_json(payload, "payload", max_payload_bytes)
    _whole(priority, "priority", -MAX_PRIORITY, MAX_PRIORITY)
    check_retries(max_retries)
    check_seconds(delay, "delay")
    check_id(step_id, "step_id")
    return Submit(step_id, text, priority, max_retries, micros(delay), unique)


def _size(text: str) -> int:
    """Bytes of UTF-8; ``UnicodeEncodeError`` if there is no such encoding of it."""
    return len(text) if text.isascii() else len(text.encode())


def _check_shape(value: object, what: str) -> None:
    """Refuse what the encoder lets pass: too many layers, and keys that it would make texts of."""
    layer: list[Any] = [value]
    for _ in range(MAX_DEPTH + 1):
        layer = [each for each in layer if isinstance(each, dict | list | tuple)]
        if not layer:
            return
        for each in layer:
            if isinstance(each, dict):
                _check_keys(each, what)
        layer = [
            inner for each in layer for inner in (each.values() if isinstance(each, dict) else each)
        ]
    raise InvalidInput(f"{what} is nested more than {MAX_DEPTH} deep")


def _check_keys(value: dict[Any, Any], what: str) -> None:
    for key in value:
        if not isinstance(key, str):
            raise InvalidInput(f"{what} has a key that is not a text")


def _whole(value: Any, what: str, least: int, most: int) -> None:
    if type(value) is not int:
        raise InvalidInput(f"{what} must be a whole number, not {_name(value)}")
    if not least <= value <= most:
        raise InvalidInput(f"{what} must be between {least} and {most}")


def _name(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a boolean",
             int: "a number", float: "a number", type(None): "null"}  # fmt: skip
    return names.get(type(value), f"a {type(value).__name__}")
