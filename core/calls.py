"""Programs that call the store: they yield each call as a value, and are sent its answer.

What a program decides stands here in core; who carries its calls out, on which store and in which
time, is for an interpreter. A program may be closed at any call, as a process may be killed there.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Concatenate, ParamSpec, TypeVar

import msgspec

from fleet_q.core.ports import Store

P = ParamSpec("P")
T = TypeVar("T")


class StoreCall(msgspec.Struct, frozen=True):
    """A call of one of the methods of :class:`~fleet_q.core.ports.Store`."""

    method: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}

    def on(self, store: Store) -> Any:
        """Call ``store``; raises what it raises."""
        return getattr(store, self.method)(*self.args, **self.kwargs)


Calls = Generator[StoreCall, Any, T]
"""A program that returns a ``T``. What a call raises is raised in it."""


def call(method: Callable[Concatenate[Store, P], T], *args: P.args, **kwargs: P.kwargs) -> Calls[T]:
    """The answer to one call, as in ``pods = yield from call(Store.pods)``."""
    answer: T = yield StoreCall(method.__name__, args, kwargs)
    return answer


def run(store: Store, program: Calls[T]) -> T:
    """Carry all calls of a program out, here and now; what it returns."""
    try:
        need = next(program)
        while True:
            try:
                answer = need.on(store)
            except BaseException as error:
                need = program.throw(error)
            else:
                need = program.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result
