"""What can be registered: a function that a step can call by the names of its arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from fleet_q.core.errors import InvalidInput

TASK_TYPE: Final = "task_type"
_OPTIONS: Final = ("step_id", "priority", "delay")
_BY_NAME: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)

_NEVER_AWAITABLE: Final = frozenset({type(None), bool, int, float, str, list, dict})
"""What most functions return; asking a type for an attribute that it lacks takes longer."""


def is_async(function: Callable[..., Any]) -> bool:
    """Whether it is an async function, or an object that is called like one."""
    return _is_any(function, inspect.iscoroutinefunction)


def is_awaitable(result: object) -> bool:
    """Whether what a function returned has to be awaited."""
    kind = type(result)
    return kind not in _NEVER_AWAITABLE and hasattr(kind, "__await__")


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """The function's parameters. Raises :class:`InvalidInput` for what is no function."""
    if isinstance(function, type):
        raise InvalidInput("it is a class; register a function that makes one and returns JSON")
    if not callable(function):
        raise InvalidInput(f"it cannot be called: {type(function).__name__}")
    for is_generator in (inspect.isgeneratorfunction, inspect.isasyncgenfunction):
        if _is_any(function, is_generator):
            raise InvalidInput("it is a generator; return a list, or submit a step for each value")
    try:
        return inspect.signature(function)
    except (ValueError, TypeError):
        raise InvalidInput(
            "Python does not know its parameters; wrap it in a function that names them"
        ) from None


def check_callable_by_name(function: Callable[..., Any], signature: inspect.Signature) -> None:
    """:class:`InvalidInput` if a payload cannot say what the function is to be called with."""
    if hasattr(function, "dispatch") and hasattr(function, "registry"):  # functools.singledispatch
        raise InvalidInput(
            "it chooses what to call by the type of its first argument, and steps give arguments"
            " by name; wrap it in a function"
        )
    parameters = signature.parameters.values()
    for parameter in parameters:
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise InvalidInput(
                f"the parameter {parameter.name!r} can only be given by position, and steps give"
                " arguments by name"
            )
        if parameter.kind not in _BY_NAME:
            continue
        if parameter.name == TASK_TYPE:
            raise InvalidInput(
                f"the parameter {TASK_TYPE!r} would be mistaken for the step's type; rename it"
            )
        if parameter.name in _OPTIONS:
            raise InvalidInput(
                f"the parameter {parameter.name!r} would be mistaken for submit's own"
            )
    if [parameter.kind for parameter in parameters] == [inspect.Parameter.VAR_POSITIONAL]:
        raise InvalidInput("it takes its arguments by position, and steps give them by name")


def check_takes_row(signature: inspect.Signature) -> None:
    """:class:`InvalidInput` if the function cannot be called with one argument."""
    try:
        signature.bind({})
    except TypeError as error:
        raise InvalidInput(f"an executor is called with the step: {error}") from None


def names_of(signature: inspect.Signature) -> set[str]:
    """The arguments that can be given by name."""
    return {p.name for p in signature.parameters.values() if p.kind in _BY_NAME}


def needed_by(signature: inspect.Signature) -> set[str]:
    """The arguments that have to be given."""
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
