"""Checks and converts the arguments and the result of a function by its annotations."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final, Optional, Unpack, get_args, get_origin

from fleet_q.core.errors import InvalidInput
from fleet_q.services.app.callables import names_of, needed_by
from fleet_q.services.app.codec import Codec, NoValue, Unsupported, codec_of, is_anything, resolved
from fleet_q.services.app.submitter import OPTION_NAMES

_EMPTY: Final = inspect.Parameter.empty
_BY_POSITION: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.POSITIONAL_ONLY)
_AWAITED: Final = (Awaitable, Coroutine)


class _LateCodec:
    """The codec of a parameter whose annotation names something that its module defines later, or
    that no step can carry. The annotation is resolved again when a step has the argument."""

    exact: Final = NoValue

    def __init__(self, make: Callable[[], Codec | None]) -> None:
        self._make = make
        self._codec: Codec | None = None
        self._is_made = False

    def to_json(self, value: Any, name: str) -> Any:
        codec = self._resolved(name)
        return value if codec is None else codec.to_json(value, name)

    def from_json(self, value: Any, name: str) -> Any:
        codec = self._resolved(name)
        return value if codec is None else codec.from_json(value, name)

    def _resolved(self, name: str) -> Codec | None:
        if not self._is_made:
            try:
                self._codec = self._make()
            except Unsupported as error:
                raise InvalidInput(f"argument {name!r}: {error}") from None
            except Exception as error:
                reason = f"its annotation cannot be resolved: {error}"
                raise InvalidInput(f"argument {name!r}: {reason}") from None
            self._is_made = True
        return self._codec


class Arguments:
    """The arguments of ``function``, whose signature is ``signature``.

    Parameters without annotation, or annotated with ``Any`` or ``object``, take any JSON value.
    Raises :class:`InvalidInput` if a parameter without default has a type that no step can carry.
    """

    def __init__(self, function: Callable[..., Any], signature: inspect.Signature) -> None:
        self._signature = signature
        self._accepted = names_of(signature)
        self._required = needed_by(signature)
        self._codecs: dict[str, Codec | _LateCodec | None] = {}
        self._others: Codec | _LateCodec | None = None  # of further arguments, for **kwargs
        namespace = namespace_of(function)
        for parameter in signature.parameters.values():
            if parameter.kind in _BY_POSITION:
                continue
            codec = self._codec_of(parameter, namespace)
            if parameter.kind is parameter.VAR_KEYWORD:
                self._others = codec
            else:
                self._codecs[parameter.name] = codec
        self._is_typed = any((*self._codecs.values(), self._others))

    def by_name(self, args: tuple[Any, ...], arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call by name, the positional ones ``args`` too. Raises
        :class:`InvalidInput` if one of these has no name, or is also among ``arguments``."""
        try:
            bound = self._signature.bind_partial(*args).arguments
        except TypeError as error:
            raise InvalidInput(str(error)) from None
        if unnamed := bound.keys() - self._accepted:
            raise InvalidInput(
                f"steps pass arguments by name, and those of *{unnamed.pop()} have none"
            )
        if twice := bound.keys() & arguments.keys():
            raise InvalidInput(f"multiple values for argument {twice.pop()!r}")
        return {**bound, **arguments}

    def to_json(self, arguments: dict[str, Any]) -> bool:
        """Convert the arguments of a submission to JSON values, in place. Returns whether any had
        to be converted. Raises :class:`InvalidInput`."""
        if not (self._required <= arguments.keys() <= self._accepted):
            self._check_names(arguments)
        is_converted = False
        if self._is_typed:
            for name, value in arguments.items():
                codec = self._codecs.get(name, self._others)
                if codec is not None and type(value) is not codec.exact:
                    arguments[name] = codec.to_json(value, name)
                    is_converted = True
        return is_converted

    def some_to_json(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return some of the arguments of a submission as JSON values, or as they are if they have
        none. Raises ``TypeError`` for one that the function does not have."""
        self._signature.bind_partial(**arguments)
        converted = dict(arguments)
        for name, value in arguments.items():
            codec = self._codecs.get(name, self._others)
            if codec is not None:
                with suppress(InvalidInput):
                    converted[name] = codec.to_json(value, name)
        return converted

    def from_json(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Convert the arguments of a step to what the function takes, in place.

        Raises :class:`InvalidInput`, and what the types' own methods raise.
        """
        names = arguments.keys()
        if names != self._required and not self._required <= names <= self._accepted:
            self._check_names(arguments)
        if self._is_typed:
            codecs, others = self._codecs, self._others
            for name, value in arguments.items():
                codec = codecs.get(name, others)
                if codec is not None and type(value) is not codec.exact:
                    arguments[name] = codec.from_json(value, name)
        return arguments

    def _codec_of(
        self, parameter: inspect.Parameter, namespace: dict[str, Any]
    ) -> Codec | _LateCodec | None:
        """The codec of a parameter; ``None`` if it takes any JSON value."""
        if parameter.annotation is _EMPTY:
            return None

        def make() -> Codec | None:
            kind = resolved(parameter.annotation, namespace)
            if is_anything(kind) or get_origin(kind) is Unpack:
                return None
            return codec_of(Optional[kind] if parameter.default is None else kind)  # noqa: UP045

        try:
            return make()
        except Exception as error:
            if isinstance(error, Unsupported) and parameter.name in self._required:
                raise InvalidInput(f"argument {parameter.name!r}: {error}") from None
            return _LateCodec(make)

    def _check_names(self, arguments: Mapping[str, Any]) -> None:
        """Raise :class:`InvalidInput` if the function does not accept these names.

        It is slow, and needed only for the error's message and for functions with ``**kwargs``:
        comparing sets of names suffices otherwise.
        """
        try:
            self._signature.bind(**arguments)
        except TypeError as error:
            is_option = OPTION_NAMES & (arguments.keys() - self._accepted)
            hint = "; options stand apart from the arguments" if is_option else ""
            raise InvalidInput(f"{error}{hint}") from None


def result_codec(function: Callable[..., Any], signature: inspect.Signature) -> Codec | None:
    """The codec of what the function returns; ``None`` if it returns JSON, or if the annotation
    names a type that no step can carry."""
    annotation = signature.return_annotation
    if annotation is _EMPTY:
        return None
    try:
        kind = resolved(annotation, namespace_of(function))
        if get_origin(kind) in _AWAITED:
            kind = get_args(kind)[-1]
        return None if is_anything(kind) else codec_of(kind)
    except Exception:
        return None


def namespace_of(function: Any) -> dict[str, Any]:
    """The global names of the module that defines the function."""
    while isinstance(function, partial):
        function = function.func
    function = inspect.unwrap(function)
    if not hasattr(function, "__globals__"):
        function = inspect.unwrap(type(function).__call__)
    return getattr(function, "__globals__", {})
