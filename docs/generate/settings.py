"""The reference of the settings: their types and defaults, from :class:`fleet_q.Settings`."""

from __future__ import annotations

import re
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec

from fleet_q import Settings
from fleet_q.core.settings import MAX_SECONDS, PREFIX

OPERATING: Final = Path(__file__).parents[1] / "operating.md"
_ROW: Final = re.compile(r"^\| `(FLEET_Q_\w+)` \|(.*?)\|(.*)\|$", re.MULTILINE)
_LOCAL_LINK: Final = re.compile(r"\]\((#|[a-z-]+\.md)")


def page() -> str:
    """The page."""
    described = {
        name: (default.strip(), text.strip())
        for name, default, text in _ROW.findall(OPERATING.read_text())
    }
    parts = [
        "# Settings",
        "Environment variables, or lines of a file `.env`; in Python, `Settings(...)` with the"
        " names in small letters and without the prefix. Durations are in seconds, or in variables"
        " like `10s`, `5m`, `12h`, `30d`."
        " [Operating](../operating.md#settings) says what is read where.",
    ]
    for field in msgspec.structs.fields(Settings):
        name = PREFIX + field.name.upper()
        default, text = described[name]
        text = _LOCAL_LINK.sub(_link, text)
        parts += [f"## {name}", f"{text[:1].upper()}{text[1:]}."]
        parts.append(f"*{kind(field.type)}*" + (f", by default {default}" if default else ""))
    return "\n\n".join(parts) + "\n"


def _link(match: re.Match[str]) -> str:
    return f"](../operating.md{match[1]}" if match[1] == "#" else f"](../{match[1]}"


def kind(type_: Any) -> str:
    """The values of a type, with their bounds."""
    origin = get_origin(type_)
    if origin in (Union, UnionType):
        return kind(next(part for part in get_args(type_) if part is not NoneType))
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in get_args(type_))
    if origin is tuple:
        return "texts, separated by commas"
    if origin is Annotated:
        base, meta = get_args(type_)
        return f"{kind(base)}{_bounds(meta)}"
    return {int: "whole number", float: "number", bool: "true or false"}.get(type_, "text")


def _bounds(meta: msgspec.Meta) -> str:
    bounds = [
        (" above ", meta.gt), (" from ", meta.ge), (" below ", meta.lt), (" up to ", meta.le),
    ]  # fmt: skip
    return "".join(
        f"{word}{value:g}" for word, value in bounds if value is not None and value != MAX_SECONDS
    )
