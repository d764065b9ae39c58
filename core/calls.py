"""Programs: generators that yield each store call as a value and are sent its result.

The core defines what a program does; an interpreter executes the calls on a store, in real or
virtual time. A program may be closed at any call, just as a process may be killed there.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Concatenate, ParamSpec, TypeVar

import msgspec

from fleet_q.core.ports import Store

P = ParamSpec("P")
T = TypeVar("T")


class StoreCall(msgspec.Struct, frozen=True):
    """A call of one method of :class:`~fleet_q.core.ports.Store`, with its arguments."""

    method: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}

    def on(self, store: Store) -> Any:
        """Execute the call on ``store``; raises what the store raises."""
        return getattr(store, self.method)(*self.args, **self.kwargs)


Calls = Generator[StoreCall, Any, T]
"""A program that returns a ``T``. An error of a store call is raised inside the program."""


def call(method: Callable[Concatenate[Store, P], T], *args: P.args, **kwargs: P.kwargs) -> Calls[T]:
    """Yield one store call and return its result: ``pods = yield from call(Store.pods)``."""
    result: T = yield StoreCall(method.__name__, args, kwargs)
    return result


def run(store: Store, program: Calls[T]) -> T:
    """Execute all calls of a program on ``store``; returns what the program returns."""
    try:
        store_call = next(program)
        while True:
            try:
                result = store_call.on(store)
            except BaseException as error:
                store_call = program.throw(error)
            else:
                store_call = program.send(result)
    except StopIteration as end:
        returned: T = end.value
        return returned
