"""Middleware, functions of an app that are called round the function of every step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from fleet_q.core.errors import InvalidInput
from fleet_q.services.app.callables import is_async, signature_of
from fleet_q.services.app.context import PermanentFailure, StepContext, current_step
from fleet_q.services.app.origin import Origin, origin

Around = Callable[[StepContext, Callable[[], Any]], Any]
"""A middleware: it is given the step and what calls the next middleware, or the function."""

_FIX: Final = "write 'return call_next()'"
_FIX_ASYNC: Final = "write 'return await call_next()'"


class Middleware:
    """The middleware of an app. What was added first is outermost. Async ones are called round
    async functions, plain ones round all others."""

    def __init__(self) -> None:
        self._around: list[tuple[Around, Origin | None]] = []

    def add(self, around: Around) -> None:
        """Add a middleware. Raises :class:`InvalidInput` if it cannot be called as one."""
        try:
            signature_of(around).bind(None, None)
        except (InvalidInput, TypeError) as error:
            raise InvalidInput(
                f"middleware {name_of(around)}: it is called with the step and call_next: {error}"
            ) from None
        self._around.append((around, origin()))

    def round(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function`` with the middleware of its kind round it, if there is any."""
        call = _call_async if is_async(function) else _call_plain
        for around, _ in reversed(self._of_kind(is_async(function))):
            function = partial(call, around, function)
        return function

    def names(self) -> tuple[str, ...]:
        """The names of those that are called in child processes, by which these check that they
        have found them."""
        return tuple(name_of(around) for around, _ in self._of_kind(False))

    def modules(self) -> tuple[str, ...]:
        """The modules whose import adds those that are called in child processes."""
        origins = (added_in for _, added_in in self._of_kind(False))
        return tuple(dict.fromkeys(added_in.module for added_in in origins if added_in))

    def _of_kind(self, is_for_async: bool) -> list[tuple[Around, Origin | None]]:
        return [entry for entry in self._around if is_async(entry[0]) is is_for_async]


class _Next:
    """Calls a function once, and remembers how that ended."""

    def __init__(self, function: Callable[[], Any], around: Around, fix: str) -> None:
        self.result: Any = None
        self.error: BaseException | None = None
        self.is_called = False
        self._function = function
        self._name = name_of(around)
        self._fix = fix

    def __call__(self) -> Any:
        self._begin()
        try:
            self.result = self._function()
        except BaseException as error:
            self.error = error
            raise
        return self.result

    async def call_async(self) -> Any:
        """Call an async function."""
        self._begin()
        try:
            self.result = await self._function()
        except BaseException as error:
            self.error = error
            raise
        return self.result

    def checked(self, result: Any) -> Any:
        """What the middleware returned. Raises if that was nothing although there was a result, an
        error, or no call: it then lacks a ``return``, and the step's result would be lost."""
        error, self.error = self.error, None  # or the error's frames would refer to the error
        if result is not None:
            return result
        if error is not None:
            raise error
        if not self.is_called:
            raise RuntimeError(
                f"middleware {self._name} neither called call_next() nor returned a result;"
                f" {self._fix}"
            )
        if self.result is not None:
            raise PermanentFailure(
                f"middleware {self._name} returned None instead of the function's result;"
                f" {self._fix}"
            )
        return None

    def _begin(self) -> None:
        if self.is_called:
            raise RuntimeError(
                f"middleware {self._name} called call_next() twice; raise an error to have the step"
                " retried"
            )
        self.is_called = True


def _call_plain(around: Around, function: Callable[..., Any], /, *args: Any, **by_name: Any) -> Any:
    call = _Next(partial(function, *args, **by_name), around, _FIX)
    return call.checked(around(current_step(), call))


async def _call_async(
    around: Callable[[StepContext, Callable[[], Awaitable[Any]]], Awaitable[Any]],
    function: Callable[..., Awaitable[Any]],
    /,
    *args: Any,
    **by_name: Any,
) -> Any:
    call = _Next(partial(function, *args, **by_name), around, _FIX_ASYNC)
    return call.checked(await around(current_step(), call.call_async))


def name_of(function: object) -> str:
    """The name of a user's function, for messages."""
    return str(getattr(function, "__qualname__", None) or type(function).__qualname__)
