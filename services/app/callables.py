"""Checks of the functions that users register: a step calls them with arguments by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from fleet_q.core.errors import InvalidInput

ARGUMENTS: Final = "$arguments"
"""The key of a payload that holds the arguments if one of them is named like a key of the payload.
Else the arguments stand in the payload itself, beside the task type."""

_BY_NAME: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)

_NEVER_AWAITABLE: Final = frozenset({type(None), bool, int, float, str, list, dict})
"""The types that most functions return; a set look-up is faster than a failing ``hasattr``."""


def is_async(function: Callable[..., Any]) -> bool:
    """Whether ``function`` is an async function, or an object whose ``__call__`` is one."""
    return _is_any(function, inspect.iscoroutinefunction)


def is_awaitable(result: object) -> bool:
    """Whether the value that a function returned must be awaited."""
    kind = type(result)
    return kind not in _NEVER_AWAITABLE and hasattr(kind, "__await__")


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """Return the function's signature. Raises :class:`InvalidInput` if it cannot be registered."""
    if isinstance(function, type):
        raise InvalidInput(
            "it is a class; register a function that makes an instance and returns JSON"
        )
    if not callable(function):
        raise InvalidInput(f"it must be a function, not {type(function).__name__}")
    for is_generator in (inspect.isgeneratorfunction, inspect.isasyncgenfunction):
        if _is_any(function, is_generator):
            raise InvalidInput("it is a generator; return a list, or submit a step for each value")
    try:
        return inspect.signature(function)
    except (ValueError, TypeError):
        raise InvalidInput(
            "its parameters are unknown to Python; wrap it in a function that names them"
        ) from None


def check_callable_by_name(function: Callable[..., Any], signature: inspect.Signature) -> None:
    """Raise :class:`InvalidInput` if the keys of a payload cannot be the function's arguments."""
    if hasattr(function, "dispatch") and hasattr(function, "registry"):  # functools.singledispatch
        raise InvalidInput(
            "it is dispatched by the type of its first argument, and steps pass arguments by name;"
            " wrap it in a function"
        )
    parameters = signature.parameters.values()
    for parameter in parameters:
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise InvalidInput(
                f"the parameter {parameter.name!r} is positional-only, and steps pass arguments by"
                " name; wrap it in a function"
            )
    if [parameter.kind for parameter in parameters] == [inspect.Parameter.VAR_POSITIONAL]:
        raise InvalidInput(
            "it takes only positional arguments, and steps pass arguments by name; name them"
        )


def check_takes_row(signature: inspect.Signature) -> None:
    """Raise :class:`InvalidInput` if the function cannot be called with one argument."""
    try:
        signature.bind({})
    except TypeError as error:
        raise InvalidInput(f"an executor is called with one argument, the step: {error}") from None


def names_of(signature: inspect.Signature) -> set[str]:
    """Return the parameters that can be passed by name."""
    return {p.name for p in signature.parameters.values() if p.kind in _BY_NAME}


def needed_by(signature: inspect.Signature) -> set[str]:
    """Return the parameters that have no default."""
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {
        p.name
        for p in signature.parameters.values()
        if p.default is inspect.Parameter.empty and p.kind not in optional
    }


def _is_any(function: Any, is_kind: Callable[[Any], bool]) -> bool:
    while isinstance(function, partial):
        function = function.func
    return is_kind(function) or is_kind(type(function).__call__)
