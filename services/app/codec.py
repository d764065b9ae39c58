"""Codecs, which turn the values of an annotated type into JSON values and back."""

from __future__ import annotations

import collections.abc
import re
from pathlib import PurePath
from types import SimpleNamespace, UnionType
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    NewType,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec
from msgspec import inspect

from fleet_q.core.errors import InvalidInput

_EXACT: Final = frozenset({str, int, bool, float})
"""Types whose instances are JSON values, which a comparison of types recognizes."""

_JSON: Final = (dict, list, tuple, str, int, float, bool, type(None))
_ANYTHING: Final = (Any, object)
_UNIONS: Final = (Union, UnionType)
_ITERABLES: Final = (collections.abc.Iterable, collections.abc.Collection)


class Unsupported(InvalidInput):
    """No value of a type can be an argument of a step."""


class TypeCodec:
    """Converts the values of the type ``kind``. Its methods take the name of the argument that has
    the value, for errors; ``None`` stands for the result.

    ``exact`` is ``str``, ``int``, ``bool`` or ``float`` if that is the type, and else a class that
    no value has: a value of the class ``exact`` needs no conversion. ``is_json``: values of the
    type are JSON values. Raises :class:`Unsupported` for a type that no step can carry, and
    ``NameError`` if it refers to something that is not defined yet.
    """

    __slots__ = ("_kind", "_order", "exact", "is_json")

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        self.exact: type = kind if isinstance(kind, type) and kind in _EXACT else NoValue
        try:
            information = inspect.type_info(kind)
        except NameError:  # a field of a class names something that is defined later
            raise
        except Exception as error:
            raise Unsupported(f"a step cannot carry {shown(kind)}: {_one_line(error)}") from None
        if unsupported := _unsupported(information):
            raise Unsupported(
                f"a step cannot carry {shown(unsupported)}; use JSON, a dataclass, a"
                " msgspec or pydantic model, datetime, UUID, Decimal, Enum, bytes or Path"
            )
        self.is_json = _is_json(information)
        # Sets have no order of their own, and one submission must always make the same payload.
        self._order: Literal["deterministic"] | None = (
            "deterministic" if _has_sets(information) else None
        )

    def to_json(self, value: Any, name: str | None) -> Any:
        """Return ``value`` as JSON values that :meth:`from_json` turns into an equal value.

        ``value`` is an instance of the type, or its JSON form. Raises :class:`InvalidInput`.
        """
        if type(value) is self.exact:
            return value
        if not isinstance(value, _JSON) and not _may_be(value, self._kind):
            raise self._wrong(name, f"not {type(value).__name__}")
        try:
            if self.is_json:
                return self._checked(value)
            encoded = to_builtins(value, self._order)
            decoded = self._convert(encoded)
            # An instance of a subclass would lose its own fields. A value in its JSON form is not
            # compared: it may be written in other ways, for example with Z for UTC.
            is_lossy = encoded != value and to_builtins(decoded, self._order) != encoded
        except Exception as error:
            raise self._wrong(name, _reason(error)) from None
        if is_lossy:
            raise self._wrong(name, "it has fields that would be lost")
        return encoded

    def _checked(self, value: Any) -> Any:
        """Return a JSON value that fits the type, with instances of subclasses of ``float``, which
        msgspec rejects, as plain numbers."""
        try:
            self._convert(value)
        except msgspec.ValidationError:
            plain = to_builtins(value)
            if plain != value:
                raise
            self._convert(plain)
            return plain
        return value

    def result_to_json(self, value: Any) -> Any:
        """Return what a function returned as JSON values, whether it fits the type or not: the work
        is done. Raises :class:`InvalidInput` for what has no JSON form."""
        return _result_to_json(value, self._order)

    def from_json(self, value: Any, name: str | None) -> Any:
        """Return the value whose JSON form is ``value``. Raises :class:`InvalidInput` if it does
        not fit the type, and what the type's own methods raise."""
        if type(value) is self.exact:
            return value
        try:
            return self._convert(value)
        except msgspec.ValidationError as error:
            raise self._wrong(name, _reason(error)) from None

    def _convert(self, value: Any) -> Any:
        return msgspec.convert(value, self._kind, str_keys=True, dec_hook=_decode)

    def _wrong(self, name: str | None, reason: str) -> InvalidInput:
        return _misfit(name, self._kind, reason)


class UnionCodec:
    """Converts values of a union that msgspec cannot tell apart by their JSON form, such as
    ``str | Path``: they arrive as the first type that fits. A value that would so arrive as another
    type is rejected. Has the methods of :class:`TypeCodec`, and raises what it raises.
    """

    __slots__ = ("_codecs", "_kind", "_order", "exact", "is_json")

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        self._codecs = [codec_of(member) for member in get_args(kind)]
        self.exact: type = NoValue
        self.is_json = False
        self._order: Literal["deterministic"] | None = next(
            (codec._order for codec in self._codecs if codec._order is not None), None
        )

    def to_json(self, value: Any, name: str | None) -> Any:
        """See :class:`TypeCodec`."""
        for codec in self._codecs:
            try:
                encoded = codec.to_json(value, name)
            except InvalidInput:
                continue
            decoded = self.from_json(encoded, name)
            if not isinstance(value, _JSON) and type(decoded) is not type(value):
                arrives = f"it would arrive as {type(decoded).__name__}"
                raise _misfit(name, self._kind, arrives)
            return encoded
        raise _misfit(name, self._kind, "it fits none of them")

    def result_to_json(self, value: Any) -> Any:
        """See :class:`TypeCodec`."""
        return _result_to_json(value, self._order)

    def from_json(self, value: Any, name: str | None) -> Any:
        """See :class:`TypeCodec`."""
        for codec in self._codecs:
            try:
                return codec.from_json(value, name)
            except InvalidInput:
                continue
        raise _misfit(name, self._kind, "it fits none of them")


Codec = TypeCodec | UnionCodec


def codec_of(kind: Any) -> Codec:
    """Return the codec of a type. Raises what :class:`TypeCodec` raises."""
    try:
        return TypeCodec(kind)
    except Unsupported:
        if get_origin(kind) in _UNIONS:
            return UnionCodec(kind)
        raise


def _result_to_json(value: Any, order: Literal["deterministic"] | None) -> Any:
    try:
        return to_builtins(value, order)
    except Exception as error:
        raise InvalidInput(f"the result is not JSON: {_one_line(error)}") from None


def _misfit(name: str | None, kind: Any, reason: str) -> InvalidInput:
    separator = ", " if reason.startswith("not ") else ": "
    what = "the result" if name is None else f"argument {name!r}"
    return InvalidInput(f"{what} must be {shown(kind)}{separator}{reason}")


def resolved(annotation: Any, namespace: dict[str, Any]) -> Any:
    """Return an annotation as a type; texts are evaluated in ``namespace``. Raises what evaluating
    raises, such as ``NameError``."""
    holder = SimpleNamespace(__annotations__={"it": annotation})
    return get_type_hints(holder, namespace, include_extras=True)["it"]


def is_anything(kind: Any) -> bool:
    """Whether the annotation says nothing about the value."""
    return kind in _ANYTHING


def to_builtins(value: Any, order: Literal["deterministic"] | None = None) -> Any:
    """Return ``value`` as JSON values. Raises ``TypeError`` and what the value's methods raise."""
    return msgspec.to_builtins(value, str_keys=True, enc_hook=_encode, order=order)


def shown(kind: Any) -> str:
    """Return a type in the form that a program writes it, without modules."""
    if isinstance(kind, type) and get_origin(kind) is None:
        return kind.__name__
    if isinstance(kind, NewType):
        return kind.__name__
    if get_origin(kind) is Annotated:
        return shown(get_args(kind)[0])
    if get_origin(kind) in _UNIONS:
        return " | ".join("None" if arg is type(None) else shown(arg) for arg in get_args(kind))
    return re.sub(r"\b(?:[^\W\d]\w*\.)+", "", str(kind).replace("typing.", ""))


def _may_be(value: Any, kind: Any) -> bool:
    """Whether ``value`` may be an instance of ``kind``; true if Python cannot tell."""
    try:
        return not isinstance(kind, type) or isinstance(value, kind)
    except TypeError:  # a TypedDict
        return True


class NoValue:
    """A class without instances."""


def _encode(value: Any) -> Any:
    """The hook for values that msgspec does not know."""
    if isinstance(value, PurePath):
        return str(value)
    if _is_pydantic(type(value)):
        return msgspec.json.decode(value.model_dump_json(by_alias=True))
    if isinstance(value, str):  # a subclass, as those below
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    raise TypeError(f"a step cannot carry {type(value).__name__}")


def _decode(kind: Any, value: Any) -> Any:
    """The hook for types that msgspec does not know. ``ValueError`` and ``TypeError`` become
    errors of msgspec, which say where the value stands."""
    if kind in _ANYTHING:
        return value
    if (get_origin(kind) or kind) in _ITERABLES:
        items: Any = list[get_args(kind) or Any]  # type: ignore[misc]
        return msgspec.convert(value, items, str_keys=True, dec_hook=_decode)
    if isinstance(kind, type) and issubclass(kind, PurePath):
        if not isinstance(value, str):
            raise TypeError(f"Expected `str`, got `{type(value).__name__}`")
        return kind(value)
    if _is_pydantic(kind):
        try:
            return kind.model_validate_json(msgspec.json.encode(value))
        except Exception as error:
            raise ValueError(_pydantic_reason(error)) from None
    raise TypeError(f"a step cannot carry {shown(kind)}")


def _is_pydantic(kind: Any) -> bool:
    """Whether ``kind`` is a pydantic model; pydantic itself need not be imported for that."""
    return (
        isinstance(kind, type)
        and hasattr(kind, "__pydantic_validator__")
        and hasattr(kind, "model_validate_json")
    )


def _pydantic_reason(error: Exception) -> str:
    problems = getattr(error, "errors", None)
    if problems is None:
        raise error
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'it'}: {problem['msg']}"
        for problem in problems(include_url=False, include_context=False, include_input=False)
    )


def _reason(error: Exception) -> str:
    """Return an error of msgspec in words that follow "must be int"."""
    text = _one_line(error)
    if not isinstance(error, msgspec.ValidationError):
        return text
    text, _, path = text.partition(" - at `")
    text = text.replace("`", "")
    path = path.rstrip("`").replace("$", "", 1)
    if path:
        return f"{text} at {path.removeprefix('.')}"
    if match := re.fullmatch(r"Expected [^,]+, got (.+)", text):
        return f"not {match[1]}"
    return text


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _parts(information: inspect.Type) -> tuple[inspect.Type, ...]:
    """The types of a type's elements; not those of an object's fields."""
    match information:
        case inspect.UnionType(types=types) | inspect.TupleType(item_types=types):
            return tuple(types)
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return (item,)
        case inspect.SetType(item_type=item) | inspect.FrozenSetType(item_type=item):
            return (item,)
        case inspect.DictType(key_type=key, value_type=value):
            return (key, value)
        case inspect.Metadata(type=inner):
            return (inner,)
        case _:
            return ()


def _unsupported(information: inspect.Type) -> Any:
    """The first type among the elements that no step can carry; ``None`` if there is none."""
    if isinstance(information, inspect.CustomType | inspect.RawType | inspect.ExtType):
        kind = getattr(information, "cls", information)
        is_supported = (
            kind in (*_ANYTHING, *_ITERABLES)
            or _is_pydantic(kind)
            or (isinstance(kind, type) and issubclass(kind, PurePath))
        )
        return None if is_supported else kind
    return next(filter(None, map(_unsupported, _parts(information))), None)


def _is_json(information: inspect.Type) -> bool:
    """Whether a JSON decoder makes values of the type as it is."""
    match information:
        case inspect.DictType(key_type=key, value_type=value):
            return isinstance(key, inspect.StrType | inspect.AnyType) and _is_json(value)
        case inspect.UnionType() | inspect.ListType() | inspect.Metadata():
            return all(map(_is_json, _parts(information)))
        case inspect.CustomType(cls=kind):
            return kind is object
        case inspect.LiteralType():
            return True
        case _:
            return isinstance(
                information,
                inspect.AnyType
                | inspect.NoneType
                | inspect.BoolType
                | inspect.IntType
                | inspect.FloatType
                | inspect.StrType,
            )


def _has_sets(information: inspect.Type, seen: frozenset[Any] = frozenset()) -> bool:
    """Whether values of the type may contain sets; ``seen`` are the classes around it."""
    if isinstance(information, inspect.SetType | inspect.FrozenSetType):
        return True
    kind = getattr(information, "cls", None)
    fields = getattr(information, "fields", ())
    if kind in seen or isinstance(information, inspect.EnumType):
        return False
    inner = (*_parts(information), *(field.type for field in fields))
    return any(_has_sets(part, seen | {kind} if kind else seen) for part in inner)
