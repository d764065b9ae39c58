"""A decorator that retries a function that raises, with increasing delays."""

from __future__ import annotations

import functools
import inspect
import math
import random
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast, get_args, overload

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    Retrying,
    retry_all,
    retry_if_exception,
    retry_if_exception_type,
    stop_after_attempt,
    stop_any,
    stop_before_delay,
)

from fleet_q.core.retry import Curve, Strategy, longest_delay
from fleet_q.services.app.context import Snooze

P = ParamSpec("P")
R = TypeVar("R")

RetryOn = type[BaseException] | tuple[type[BaseException], ...]
OnRetry = Callable[[int, float, Any], None]


@overload
def with_backoff(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def with_backoff(
    *,
    max_attempts: int = 5,
    base_delay_ms: float = 50,
    max_delay_ms: float = 5000,
    jitter: bool = True,
    retry_on: RetryOn = (Exception,),
    on_retry: OnRetry | None = None,
    timeout_total_s: float | None = None,
    strategy: Strategy = "exponential",
    retry_if: Callable[[Any], bool] | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def with_backoff(
    function: Callable[P, R] | None = None,
    /,
    *,
    max_attempts: int = 5,
    base_delay_ms: float = 50,
    max_delay_ms: float = 5000,
    jitter: bool = True,
    retry_on: RetryOn = (Exception,),
    on_retry: OnRetry | None = None,
    timeout_total_s: float | None = None,
    strategy: Strategy = "exponential",
    retry_if: Callable[[Any], bool] | None = None,
) -> Callable[P, R] | Callable[[Callable[P, R]], Callable[P, R]]:
    """Retry calls of the decorated function, plain or async, that raise.

    The function is called at most ``max_attempts`` times, including the first. An attempt is
    followed by another if it raised one of the classes ``retry_on``, for which ``retry_if`` (if
    given) returned true, and if the next attempt would begin less than ``timeout_total_s`` seconds
    after the first. Otherwise its exception is raised to the caller, as ``Snooze`` always is. The
    limit is checked after a failed attempt: it interrupts no running one, and does not include the
    time of ``on_retry``.

    ``strategy`` sets the delay after failed attempt number n, counted from 1:

    - "exponential": ``base_delay_ms`` doubled n - 1 times;
    - "linear": n times ``base_delay_ms``;
    - "fibonacci": ``base_delay_ms`` times the n-th of 1, 1, 2, 3, 5 and so on;
    - a function: the milliseconds that it returns for n; less than 0 counts as 0.

    No delay is longer than ``max_delay_ms``. With ``jitter`` the delay is drawn uniformly
    from 0 to that value: "full jitter" of Marc Brooker, "Exponential Backoff And Jitter", AWS
    Architecture Blog, 2015. The default numbers are those of the FLEET-Q quickstart.

    ``on_retry(n, delay in seconds, exception)``, a plain function, is called before each delay.
    If it raises, that exception is raised to the caller.

    Raises ``ValueError`` for an option out of its range, and ``TypeError`` for a function that
    cannot be retried, such as a generator function.
    """
    curves = get_args(Curve)
    kinds = retry_on if isinstance(retry_on, tuple) else (retry_on,)
    for is_valid, message in (
        (max_attempts >= 1, "max_attempts must be 1 or more"),
        (0 <= base_delay_ms < math.inf, "base_delay_ms must be 0 or more, and finite"),
        (0 <= max_delay_ms < math.inf, "max_delay_ms must be 0 or more, and finite"),
        (callable(strategy) or strategy in curves, f"strategy must be callable or one of {curves}"),
        (
            callable(strategy) or base_delay_ms <= max_delay_ms,
            "max_delay_ms must not be less than base_delay_ms: raise it, or lower the other",
        ),
        (
            timeout_total_s is None or timeout_total_s > 0,
            "timeout_total_s must be more than 0; leave it out for no limit",
        ),
        (
            all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds),
            "retry_on must be an exception class or a tuple of them",
        ),
    ):
        if not is_valid:
            raise ValueError(message)

    def wait(state: RetryCallState) -> float:
        if state.attempt_number >= max_attempts:
            return (
                0  # tenacity asks even after the last attempt; ``strategy`` is not called for that
            )
        delay = longest_delay(strategy, state.attempt_number, base_delay_ms, max_delay_ms)
        return (random.uniform(0, delay) if jitter else delay) / 1000

    def before_sleep(state: RetryCallState) -> None:
        if on_retry is not None and state.outcome is not None:
            on_retry(state.attempt_number, state.upcoming_sleep, state.outcome.exception())

    time_limit = stop_before_delay(math.inf if timeout_total_s is None else timeout_total_s)

    def is_retried(error: BaseException) -> bool:
        return not isinstance(error, Snooze) and (retry_if is None or retry_if(error))

    policy: dict[str, Any] = {
        "stop": stop_any(stop_after_attempt(max_attempts), time_limit),
        "wait": wait,
        "retry": retry_all(retry_if_exception_type(retry_on), retry_if_exception(is_retried)),
        "before_sleep": before_sleep,
        "reraise": True,
    }

    # A Retrying for every call, because tenacity's wraps() shares one: concurrent calls would clear
    # each other's statistics (https://github.com/jd/tenacity/issues/701).
    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        if not _is_async(function):

            @functools.wraps(function)
            def call(*args: P.args, **kwargs: P.kwargs) -> R:
                return Retrying(**policy)(function, *args, **kwargs)

            return call

        @functools.wraps(function)
        async def call_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            return await AsyncRetrying(**policy)(cast(Any, function), *args, **kwargs)

        return cast(Callable[P, R], call_async)

    return decorate if function is None else decorate(function)


def _is_async(function: Callable[..., Any]) -> bool:
    """Whether ``function`` is async. Raises ``TypeError`` if it cannot be retried."""
    codes = (function, type(function).__call__)  # of an object, its __call__ decides
    if (
        not callable(function)
        or isinstance(function, staticmethod)
        or any(inspect.isgeneratorfunction(c) or inspect.isasyncgenfunction(c) for c in codes)
    ):
        raise TypeError(
            f"with_backoff cannot decorate {function!r}: it takes functions other than generators;"
            " pass its options by name, and place it below @staticmethod and @classmethod"
        )
    return any(map(inspect.iscoroutinefunction, codes))
