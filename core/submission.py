"""Validate what callers submit and make :class:`~fleet_q.core.step.Submit` commands of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set, Sized
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from fleet_q.core.dependencies import KINDS, MAX_PARENTS, Kind, parents_json, parents_of
from fleet_q.core.errors import InvalidInput
from fleet_q.core.events import DEFAULT_QUEUE
from fleet_q.core.retry import micros
from fleet_q.core.settings import MAX_SECONDS
from fleet_q.core.sizes import size_of
from fleet_q.core.step import ON_CONFLICT, OnConflict, Submit

MAX_PAYLOAD_BYTES: Final = 1024 * 1024
"""The default limit for payloads, in bytes of JSON."""

MAX_RESULT_BYTES: Final = 1024 * 1024
"""The default limit for results, in bytes of JSON."""

NO_LIMIT: Final = 2**63 - 1

MAX_ID_LENGTH: Final = 200
"""The maximum number of characters in an id: enough for any name, and small in an index."""

MAX_PRIORITY: Final = 2**31 - 1
MAX_RETRIES: Final = 2**31 - 1
"""Limits that fit the integer columns of every store."""

MAX_LABELS: Final = 20
"""The maximum number of labels of a step."""

MAX_LABEL_BYTES: Final = 4096
"""The maximum size of the labels of a step, in bytes of JSON."""

After = str | Sequence[str] | Set[str] | Mapping[str, Kind]
"""The steps that a step waits for: ids of steps that must succeed, or how each must end by id."""

TASK_TYPE: Final = "task_type"
"""The key of the payload that names the step's function."""

MAX_DEPTH: Final = 200
"""The maximum nesting of objects and arrays, which every JSON parser supports."""

_PLAIN: Final = frozenset({str, int, bool, type(None)})
_encode_plain = msgspec.json.Encoder().encode
_encode = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode


def to_json(value: object, what: str, most: int = NO_LIMIT) -> str:
    """Encode ``value`` as JSON that decodes to the same value; ``what`` names it in the error.

    Raises :class:`InvalidInput` for values that JSON cannot represent (NaN and infinities, lone
    surrogates, other types, keys that are not texts) and for more than ``most`` bytes of UTF-8. A
    value that is obviously too large is rejected before it is encoded, because the encoder blocks
    all other threads until it is done.
    """
    text = _plain_json(value, what, most)
    if text is None:
        _check_lower_bound(_lower_bound(value, most), what, most)
        text = _any_json(value, what)
    if (len(text) if text.isascii() else size_of(text)) > most:
        raise InvalidInput(f"{what} has {size_of(text)} bytes; the limit is {most}")
    return text


def _any_json(value: object, what: str) -> str:
    try:
        text = _encode(value)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{what} is not JSON: {error}") from None
    except RecursionError:
        raise InvalidInput(f"{what} is nested more than {MAX_DEPTH} levels deep") from None
    _check_unicode(text, what)
    if text.count("{") + text.count("[") > 1:
        _check_shape(value, what)
    elif isinstance(value, dict):
        _check_keys(value, what)
    return text


def _plain_json(value: object, what: str, most: int) -> str | None:
    """Encode the most common values fast: a text, an integer, a boolean, null, or an object of
    these. ``None`` for any other value and for an invalid one."""
    size = 0
    if type(value) is dict:
        for key, item in value.items():
            kind = type(item)
            if type(key) is not str or kind not in _PLAIN:
                return None
            size += len(key)
            if kind is str:
                size += len(item)
    elif type(value) is str:
        size = len(value) + 2
    elif type(value) not in _PLAIN:
        return None
    if size > most:
        _check_lower_bound(size, what, most)
    try:
        return _encode_plain(value).decode()
    except (UnicodeEncodeError, OverflowError):
        return None


def _check_lower_bound(least: int, what: str, most: int) -> None:
    if least > most:
        raise InvalidInput(f"{what} has at least {least} bytes; the limit is {most}")


def _lower_bound(value: object, most: int) -> int:
    """A lower bound of the bytes of ``value`` as JSON; counting stops soon after ``most``."""
    size = 0
    layer: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for item in layer:
            if isinstance(item, str):
                size += len(item)
            elif isinstance(item, dict):
                size += 4 * len(item)  # quotes, a colon, and a comma or brace
                if size <= most:
                    inner += item
                    inner += item.values()
            elif isinstance(item, list | tuple):
                size += 2 * len(item)
                if size <= most:
                    inner += item
            if size > most:
                return size
        if not inner:
            break
        layer = inner
    return size


def check_id(value: object, what: str) -> str:
    """Check and return an id: a text of 1 to 200 characters without NUL."""
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_ID_LENGTH or "\0" in value:
        raise InvalidInput(f"{what} must be a text of 1 to {MAX_ID_LENGTH} characters without NUL")
    _check_unicode(value, what)
    return value


def check_retries(value: object) -> None:
    """Check ``max_retries``: an integer from 0 to ``MAX_RETRIES``."""
    _whole(value, "max_retries", 0, MAX_RETRIES)


def check_seconds(value: object, what: str) -> None:
    """Check a duration in seconds: a number from 0 to ten years."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput(f"{what} must be a number of seconds, not {_name(value)}")
    if not 0 <= value <= MAX_SECONDS:
        raise InvalidInput(f"{what} must be between 0 and {MAX_SECONDS:.0f} seconds, not {value}")


def check_queue(value: object) -> str:
    """Check and return the name of a queue: an id without commas, and without white space at its
    ends, so that it can be one of a list."""
    name = check_id(value, "queue")
    if "," in name or name != name.strip():
        raise InvalidInput(f"queue must have no comma, and no blank at its ends, unlike {name!r}")
    return name


def check_timeout(value: object) -> None:
    """Check the time that a function may take: a number of seconds above 0, up to ten years."""
    check_seconds(value, "timeout")
    if value == 0:
        raise InvalidInput("timeout must be more than 0 seconds")


def check_priority(value: object) -> None:
    """Check a priority: an integer from ``-MAX_PRIORITY`` to ``MAX_PRIORITY``."""
    _whole(value, "priority", -MAX_PRIORITY, MAX_PRIORITY)


def labels_json(labels: object) -> str:
    """Check labels, and return them as JSON, sorted by name."""
    return to_json(dict(sorted(check_labels(labels).items())), "labels", MAX_LABEL_BYTES)


def check_labels(labels: object) -> Mapping[str, str]:
    """Check and return labels, a mapping of texts to texts."""
    if not isinstance(labels, Mapping):
        raise InvalidInput(f"labels must be an object of texts, not {_name(labels)}")
    if len(labels) > MAX_LABELS:
        raise InvalidInput(f"labels has {len(labels)} labels; the limit is {MAX_LABELS}")
    for name, value in labels.items():
        check_id(name, "the name of a label")
        if "=" in name:
            raise InvalidInput(f"the name of a label must have no '=', unlike {name!r}")
        if not isinstance(value, str):
            raise InvalidInput(f"label {name!r} must be a text, not {_name(value)}")
    return labels


def _parents(after: object) -> str | None:
    """Check the parents of a step, and return its column ``parents``."""
    if isinstance(after, str):
        after = [after]
    if not isinstance(after, Mapping | Sequence | Set):
        raise InvalidInput(f"after must be a list of ids, or an object by id, not {_name(after)}")
    _check_count(after)
    parents: dict[str, Kind] = {}
    for parent in after:
        step_id = check_id(parent, "an id in after")
        kind = after[step_id] if isinstance(after, Mapping) else "success"
        if kind not in KINDS:
            raise InvalidInput(f"after[{step_id!r}] must be {' or '.join(KINDS)}, not {kind!r}")
        parents[step_id] = kind
    return parents_json(parents) if parents else None


def with_parents(step: Submit, parents: Sequence[str]) -> Submit:
    """The submission with these steps as parents, too, which must succeed unless it says otherwise
    of one. Raises :class:`InvalidInput`."""
    after = dict.fromkeys(parents, KINDS[0]) | parents_of(step.parents)
    _check_count(after)
    return replace(step, parents=parents_json(after))


def _check_count(after: Sized) -> None:
    if len(after) > MAX_PARENTS:
        raise InvalidInput(f"after has {len(after)} steps; the limit is {MAX_PARENTS}")


def submission(
    payload: object,
    *,
    step_id: str,
    priority: int = 0,
    max_retries: int = 3,
    delay: float = 0,
    unique: bool = False,
    queue: str = DEFAULT_QUEUE,
    key: str | None = None,
    unique_key: str | None = None,
    unique_for: float | None = None,
    on_conflict: OnConflict = "existing",
    labels: Mapping[str, str] | None = None,
    timeout: float | None = None,
    after: After | None = None,
    start_by: float | None = None,
    max_payload_bytes: int = MAX_PAYLOAD_BYTES,
) -> Submit:
    """Make the command that submits ``payload``, a JSON object.

    ``delay``, ``start_by``, ``unique_for`` and ``timeout`` are in seconds; ``unique`` promises that
    ``step_id`` was generated for this step; ``after`` are its parents. Raises
    :class:`InvalidInput`.
    """
    if not isinstance(payload, dict):
        raise InvalidInput(f"payload must be a JSON object, not {_name(payload)}")
    text = to_json(payload, "payload", max_payload_bytes)
    check_priority(priority)
    check_retries(max_retries)
    check_seconds(delay, "delay")
    if not unique:
        check_id(step_id, "step_id")
    task_type = payload.get(TASK_TYPE)
    task_type = _check_task_type(task_type) if task_type and isinstance(task_type, str) else ""
    if queue is not DEFAULT_QUEUE:
        check_queue(queue)
    if key is not None:
        check_id(key, "key")
    if unique_key is not None:
        check_id(unique_key, "unique_key")
    if unique_for is not None:
        if unique_key is None:
            raise InvalidInput("unique_for needs a unique_key")
        check_seconds(unique_for, "unique_for")
    if on_conflict not in ON_CONFLICT:
        raise InvalidInput(
            f"on_conflict must be {', '.join(ON_CONFLICT[:-1])} or {ON_CONFLICT[-1]},"
            f" not {on_conflict!r}"
        )
    if timeout is not None:
        check_timeout(timeout)
    if start_by is not None:
        check_seconds(start_by, "start_by")
        if start_by <= delay:
            raise InvalidInput(
                f"start_by ({start_by:g} s) must be more than delay ({delay:g} s), or the step"
                " never begins"
            )
    return Submit(
        step_id,
        text,
        priority,
        max_retries,
        micros(delay) if delay else 0,
        unique,
        queue,
        task_type,
        key,
        unique_key,
        None if unique_for is None else micros(unique_for),
        labels_json(labels) if labels else None,
        None if timeout is None else micros(timeout),
        on_conflict,
        None if after is None else _parents(after),
        start_by=None if start_by is None else micros(start_by),
    )


@lru_cache(1_000)
def _check_task_type(task_type: str) -> str:
    return check_id(task_type, TASK_TYPE)


def _check_unicode(text: str, what: str) -> None:
    """Reject lone surrogates, which no store accepts."""
    try:
        if not text.isascii():
            text.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{what} contains text that is not valid Unicode") from None


def _check_shape(value: object, what: str) -> None:
    """Reject what the encoder accepts: deep nesting, and keys that it would convert to texts."""
    layer: list[Any] = [value]
    for _ in range(MAX_DEPTH + 1):
        layer = [item for item in layer if isinstance(item, dict | list | tuple)]
        if not layer:
            return
        for item in layer:
            if isinstance(item, dict):
                _check_keys(item, what)
        layer = [
            inner for item in layer for inner in (item.values() if isinstance(item, dict) else item)
        ]
    raise InvalidInput(f"{what} is nested more than {MAX_DEPTH} levels deep")


def _check_keys(value: dict[Any, Any], what: str) -> None:
    for key in value:
        if not isinstance(key, str):
            raise InvalidInput(f"{what} has a key that is not a text")


def _whole(value: Any, what: str, least: int, most: int) -> None:
    if type(value) is not int:
        raise InvalidInput(f"{what} must be a whole number, not {_name(value)}")
    if not least <= value <= most:
        raise InvalidInput(f"{what} must be between {least} and {most}, not {value}")


def _name(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a boolean",
             int: "a number", float: "a number", type(None): "null"}  # fmt: skip
    return names.get(type(value), f"a {type(value).__name__}")
