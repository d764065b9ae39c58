"""Retries, which failures of a task are retried, and after which delays."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, NamedTuple, get_args

from fleet_q.core.errors import InvalidInput
from fleet_q.core.retry import Curve, RetryPolicy, Strategy
from fleet_q.core.submission import check_seconds

Errors = type[BaseException] | tuple[type[BaseException], ...]

_MAIN_NAMES: Final = {"__mp_main__": "__main__"}
"""A child process imports the main module under another name."""


class Retries(NamedTuple):
    """The policy of a task; what is ``None`` is as the settings say.

    ``retry_on`` and ``give_up_on`` are the names of exception classes, as :func:`kinds_of` returns
    them, because a child process reports its exceptions by name.
    """

    base_delay: float | None
    max_delay: float | None
    strategy: Strategy
    retry_on: frozenset[str] | None
    give_up_on: frozenset[str]

    def gives_up(self, kinds: Collection[str]) -> bool:
        """Whether an attempt that raised an exception of these classes is the last."""
        if not self.give_up_on.isdisjoint(kinds):
            return True
        return self.retry_on is not None and self.retry_on.isdisjoint(kinds)

    def policy(self, default: RetryPolicy) -> RetryPolicy:
        """Return the delays of the task, which are those of ``default`` as far as it sets none."""
        return RetryPolicy(
            default.base_delay if self.base_delay is None else self.base_delay,
            default.max_delay if self.max_delay is None else self.max_delay,
            default.chance,
            self.strategy,
        )


def retries(
    base_delay: float | None,
    max_delay: float | None,
    strategy: Strategy,
    retry_on: Errors | None,
    give_up_on: Errors,
) -> Retries | None:
    """Return the policy of a task; ``None`` if it is that of the settings.

    Raises :class:`InvalidInput` for a value out of its range.
    """
    for name, seconds in (("base_delay", base_delay), ("max_delay", max_delay)):
        if seconds is not None:
            check_seconds(seconds, name)
    if base_delay is not None and max_delay is not None and base_delay > max_delay:
        raise InvalidInput(
            f"max_delay ({max_delay:g} s) must not be less than base_delay ({base_delay:g} s)"
        )
    if not callable(strategy) and strategy not in get_args(Curve):
        *first, last = get_args(Curve)
        raise InvalidInput(
            f"strategy must be {', '.join(first)}, {last} or a function, not {strategy!r}"
        )
    policy = Retries(
        base_delay,
        max_delay,
        strategy,
        None if retry_on is None else _names("retry_on", retry_on),
        _names("give_up_on", give_up_on),
    )
    return None if policy == (None, None, "exponential", None, frozenset()) else policy


def kinds_of(error: type[BaseException]) -> list[str]:
    """Return the names of an exception's class and of the classes that it derives from."""
    return [_name_of(kind) for kind in error.__mro__]


def _names(what: str, errors: Any) -> frozenset[str]:
    kinds = errors if isinstance(errors, tuple) else (errors,)
    if not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
        raise InvalidInput(f"{what} must be an exception class or a tuple of them, not {errors!r}")
    return frozenset(map(_name_of, kinds))


def _name_of(kind: type) -> str:
    module = kind.__module__
    return f"{_MAIN_NAMES.get(module, module)}.{kind.__qualname__}"
