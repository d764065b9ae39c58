"""``with_backoff``: which failures are retried, after which delays, and what the caller gets."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import math
import pickle
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from types import SimpleNamespace
from typing import Any, assert_type

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fleet_q.services.backoff import with_backoff
from tests.waiting import LIMIT

both_kinds = pytest.mark.parametrize("kind", ["plain", "async"])
curves = st.sampled_from(["exponential", "linear", "fibonacci"])


class Clock:
    """The time that tenacity sees; only sleeping and ``advance`` change it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(float(seconds))
        self.advance(seconds)

    async def sleep_async(self, seconds: float) -> None:
        self.sleep(seconds)


@contextlib.contextmanager
def fake_time() -> Iterator[Clock]:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tenacity.time", SimpleNamespace(monotonic=lambda: clock.now))
        patch.setattr("tenacity.nap.time", SimpleNamespace(sleep=clock.sleep))
        patch.setattr("asyncio.sleep", clock.sleep_async)
        yield clock


@pytest.fixture
def clock() -> Iterator[Clock]:
    with fake_time() as clock:
        yield clock


class Job:
    """Raises ``failures`` one after the other, then returns "done". Each call first calls
    ``on_call``."""

    def __init__(
        self, *failures: BaseException, on_call: Callable[[], None] = lambda: None
    ) -> None:
        self.failures = failures
        self.calls = 0
        self.on_call = on_call

    def __call__(self) -> str:
        self.on_call()
        self.calls += 1
        if self.calls <= len(self.failures):
            raise self.failures[self.calls - 1]
        return "done"


def run(kind: str, job: Job, **options: Any) -> str:
    """Call ``job`` from a function of this kind that ``with_backoff`` decorates."""

    @with_backoff(**options)
    def plain() -> str:
        return job()

    @with_backoff(**options)
    async def awaited() -> str:
        return job()

    return plain() if kind == "plain" else asyncio.run(awaited())


def failing(times: int) -> Job:
    return Job(*(OSError(n) for n in range(1, times + 1)))


def delays(attempts: int, kind: str = "plain", **options: Any) -> list[float]:
    """The delays, in seconds, of a call whose ``attempts`` attempts all fail."""
    with fake_time() as clock, pytest.raises(OSError, match=f"^{attempts}$"):
        run(kind, failing(attempts), max_attempts=attempts, **options)
    return clock.sleeps


# --- attempts ---


@both_kinds
def test_successful_call_is_made_once(kind: str, clock: Clock) -> None:
    job = Job()
    assert run(kind, job) == "done"
    assert job.calls == 1
    assert clock.sleeps == []


@both_kinds
@pytest.mark.parametrize("failures", [1, 2, 3])
def test_failed_call_is_retried_until_it_succeeds(kind: str, failures: int, clock: Clock) -> None:
    job = failing(failures)
    assert run(kind, job, max_attempts=4) == "done"
    assert job.calls == failures + 1
    assert len(clock.sleeps) == failures


@both_kinds
@pytest.mark.parametrize("max_attempts", [1, 2, 7])
def test_first_call_counts_towards_max_attempts(kind: str, max_attempts: int, clock: Clock) -> None:
    job = failing(100)
    with pytest.raises(OSError, match=f"^{max_attempts}$"):
        run(kind, job, max_attempts=max_attempts)
    assert job.calls == max_attempts
    assert len(clock.sleeps) == max_attempts - 1


@both_kinds
def test_last_exception_of_the_function_is_raised(kind: str, clock: Clock) -> None:
    last = OSError("the last")
    with pytest.raises(OSError, match="the last") as raised:
        run(kind, Job(OSError("the first"), last), max_attempts=2)
    assert raised.value is last
    assert last.__cause__ is None
    assert last.__context__ is None


def test_defaults_are_those_of_the_quickstart() -> None:
    options = inspect.signature(with_backoff).parameters.values()
    assert {
        option.name: option.default for option in options if option.kind == option.KEYWORD_ONLY
    } == {
        "max_attempts": 5,
        "base_delay_ms": 50,
        "max_delay_ms": 5000,
        "jitter": True,
        "retry_on": (Exception,),
        "on_retry": None,
        "timeout_total_s": None,
        "strategy": "exponential",
        "retry_if": None,
    }


# --- delays ---


@both_kinds
@pytest.mark.parametrize(
    ("strategy", "expected_ms"),
    [
        ("exponential", [50, 100, 200, 400, 800, 1000, 1000]),
        ("linear", [50, 100, 150, 200, 250, 300, 350]),
        ("fibonacci", [50, 50, 100, 150, 250, 400, 650]),
        (lambda attempt: attempt**3, [1, 8, 27, 64, 125, 216, 343]),
        (lambda attempt: 400.5 * attempt, [400.5, 801, 1000, 1000, 1000, 1000, 1000]),
    ],
)
def test_strategy_sets_the_delays(kind: str, strategy: Any, expected_ms: list[float]) -> None:
    slept = delays(8, kind, strategy=strategy, base_delay_ms=50, max_delay_ms=1000, jitter=False)
    assert slept == [ms / 1000 for ms in expected_ms]


@given(strategy=curves, base=st.floats(0, 1e6), room=st.floats(0, 1e6))
@example(strategy="exponential", base=0.1, room=1e300)
@example(strategy="linear", base=0.0, room=0.0)
def test_delays_grow_from_the_base_up_to_the_maximum(
    strategy: str, base: float, room: float
) -> None:
    slept = delays(
        20, strategy=strategy, base_delay_ms=base, max_delay_ms=base + room, jitter=False
    )
    assert slept[0] == base / 1000
    assert slept == sorted(slept)
    assert slept[-1] <= (base + room) / 1000


@pytest.mark.parametrize("strategy", ["exponential", "linear", "fibonacci"])
def test_thousands_of_attempts_do_not_overflow(strategy: str) -> None:
    slept = delays(3000, strategy=strategy, base_delay_ms=0.5, max_delay_ms=20, jitter=False)
    assert slept[-1] == 0.02


@given(strategy=curves, base=st.floats(0, 1e6), room=st.floats(0, 1e6))
def test_jitter_draws_between_0_and_the_delay(strategy: str, base: float, room: float) -> None:
    options: dict[str, Any] = {
        "strategy": strategy,
        "base_delay_ms": base,
        "max_delay_ms": base + room,
    }
    drawn = delays(8, **options)
    delays_without_jitter = delays(8, **options, jitter=False)
    assert all(
        0 <= drawn_delay <= delay
        for drawn_delay, delay in zip(drawn, delays_without_jitter, strict=True)
    )


@both_kinds
@pytest.mark.parametrize("chance", [0.0, 0.25, 1.0])
def test_jitter_applies_to_every_strategy(
    kind: str, chance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.uniform", lambda low, high: low + chance * (high - low))
    assert delays(4, kind) == [0.05 * chance, 0.1 * chance, 0.2 * chance]
    assert delays(3, kind, strategy=lambda attempt: 40) == [0.04 * chance] * 2


def test_jitter_is_drawn_anew_for_each_delay() -> None:
    drawn = delays(50, strategy="linear", base_delay_ms=5000)
    assert len(set(drawn)) == 49


def test_strategy_is_not_called_after_the_last_attempt() -> None:
    assert delays(3, strategy=lambda attempt: {1: 10, 2: 30}[attempt], jitter=False) == [0.01, 0.03]


@pytest.mark.parametrize(("given_ms", "slept"), [(-1, 0), (math.nan, 0), (math.inf, 5)])
def test_delay_of_a_strategy_is_clamped_between_0_and_the_maximum(
    given_ms: float, slept: float
) -> None:
    assert delays(2, strategy=lambda attempt: given_ms, jitter=False) == [slept]


def test_custom_strategy_ignores_the_base_delay() -> None:
    slept = delays(3, strategy=lambda attempt: 7, base_delay_ms=50, max_delay_ms=10, jitter=False)
    assert slept == [0.007, 0.007]


# --- which failures are retried ---


@both_kinds
@pytest.mark.parametrize("retry_on", [ConnectionError, (ConnectionError,), (KeyError, OSError)])
def test_exception_of_a_class_in_retry_on_is_retried(
    kind: str, retry_on: Any, clock: Clock
) -> None:
    job = Job(ConnectionResetError())
    assert run(kind, job, retry_on=retry_on) == "done"
    assert job.calls == 2


@both_kinds
@pytest.mark.parametrize("retry_on", [ConnectionError, (ConnectionError, KeyError), ()])
def test_exception_of_no_class_in_retry_on_is_raised_at_once(
    kind: str, retry_on: Any, clock: Clock
) -> None:
    job = Job(ValueError("not retried"))
    with pytest.raises(ValueError, match="not retried"):
        run(kind, job, retry_on=retry_on)
    assert job.calls == 1
    assert clock.sleeps == []


@both_kinds
def test_exception_of_another_class_ends_the_retries(kind: str, clock: Clock) -> None:
    job = Job(ConnectionError(), ValueError("not retried"))
    with pytest.raises(ValueError, match="not retried"):
        run(kind, job, retry_on=ConnectionError)
    assert job.calls == 2


@both_kinds
def test_exception_that_retry_if_rejects_is_raised(kind: str, clock: Clock) -> None:
    job = Job(OSError(429), OSError(503), OSError(404))
    with pytest.raises(OSError, match="404"):
        run(kind, job, retry_if=lambda error: error.args[0] in (429, 503))
    assert job.calls == 3


@both_kinds
def test_retry_if_is_called_only_for_classes_in_retry_on(kind: str, clock: Clock) -> None:
    asked: list[BaseException] = []
    first, second = OSError("first"), ValueError("second")

    def retry_if(error: BaseException) -> bool:
        asked.append(error)
        return True

    with pytest.raises(ValueError, match="second"):
        run(kind, Job(first, second), retry_on=OSError, retry_if=retry_if)
    assert asked == [first]


@both_kinds
@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_exit_interrupt_and_cancellation_are_retried_only_if_in_retry_on(
    kind: str, stop: type[BaseException], clock: Clock
) -> None:
    job = Job(stop())
    with pytest.raises(stop):
        run(kind, job)
    assert job.calls == 1

    named = Job(stop())
    assert run(kind, named, retry_on=(stop,)) == "done"
    assert named.calls == 2


# --- on_retry ---


@both_kinds
def test_on_retry_is_called_before_each_delay(kind: str, clock: Clock) -> None:
    calls: list[tuple[int, float, BaseException, int]] = []

    def on_retry(attempt: int, delay: float, exception: Exception) -> None:
        calls.append((attempt, delay, exception, len(clock.sleeps)))

    job = failing(3)
    with pytest.raises(OSError, match="3"):
        run(kind, job, max_attempts=3, jitter=False, on_retry=on_retry)
    first, second, _ = job.failures
    assert calls == [(1, 0.05, first, 0), (2, 0.1, second, 1)]


def test_on_retry_gets_the_delay_that_jitter_drew(clock: Clock) -> None:
    reported: list[float] = []
    run("plain", failing(4), on_retry=lambda attempt, delay, error: reported.append(delay))
    assert reported == clock.sleeps


@both_kinds
def test_exception_of_on_retry_is_raised_to_the_caller(kind: str, clock: Clock) -> None:
    def on_retry(attempt: int, delay: float, exception: Exception) -> None:
        raise LookupError("from the callback")

    job = failing(1)
    with pytest.raises(LookupError, match="from the callback"):
        run(kind, job, on_retry=on_retry)
    assert job.calls == 1


# --- timeout_total_s ---


@both_kinds
def test_no_delay_begins_that_would_exceed_the_time_limit(kind: str, clock: Clock) -> None:
    job = Job(*map(OSError, range(1, 9)), on_call=lambda: clock.advance(1))
    with pytest.raises(OSError, match=r"^3$"):
        run(kind, job, strategy=lambda _: 2000, jitter=False, timeout_total_s=8.5)
    assert clock.sleeps == [2, 2]
    assert clock.now == 7


@both_kinds
def test_time_limit_does_not_interrupt_a_running_attempt(kind: str, clock: Clock) -> None:
    job = Job(on_call=lambda: clock.advance(60))
    assert run(kind, job, timeout_total_s=1) == "done"


@given(
    durations=st.lists(st.floats(0, 3), min_size=10, max_size=10),
    strategy=curves,
    base=st.floats(0, 2000),
    limit=st.floats(0.001, 20),
    jitter=st.booleans(),
)
def test_attempts_begin_within_the_time_limit(
    durations: list[float], strategy: str, base: float, limit: float, jitter: bool
) -> None:
    began: list[float] = []
    ended: list[float] = []
    with fake_time() as clock:
        job = failing(10)

        def on_call() -> None:
            began.append(clock.now)
            clock.advance(durations[len(began) - 1])
            ended.append(clock.now)

        job.on_call = on_call
        with pytest.raises(OSError, match=r"^\d+$") as raised:
            run(
                "plain",
                job,
                max_attempts=10,
                base_delay_ms=base,
                strategy=strategy,
                timeout_total_s=limit,
                jitter=jitter,
            )
    assert raised.value.args == (len(began),)
    assert all(start < limit for start in began)
    assert clock.now == ended[-1], "no delay after the last attempt"


# --- async ---


def test_call_cancelled_in_the_function_is_not_retried() -> None:
    calls: list[asyncio.Event] = []

    @with_backoff
    async def endless() -> None:
        calls.append(asyncio.Event())
        await calls[-1].wait()

    async def main() -> None:
        task = asyncio.create_task(endless())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(main())
    assert len(calls) == 1


def test_call_cancelled_in_a_delay_is_not_retried() -> None:
    job = failing(3)

    async def main() -> None:
        delaying = asyncio.Event()

        @with_backoff(
            base_delay_ms=60_000,
            max_delay_ms=60_000,
            jitter=False,
            on_retry=lambda attempt, delay, exception: delaying.set(),
        )
        async def function() -> str:
            return job()

        task = asyncio.create_task(function())
        await delaying.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert job.calls == 1


def test_other_asyncio_tasks_run_during_a_delay() -> None:
    order: list[str] = []

    @with_backoff(base_delay_ms=0, max_delay_ms=0, max_attempts=3)
    async def function(name: str) -> None:
        order.append(name)
        raise OSError(name)

    async def main() -> list[Any]:
        return list(await asyncio.gather(function("a"), function("b"), return_exceptions=True))

    assert [str(error) for error in asyncio.run(main())] == ["a", "b"]
    assert order == ["a", "b", "a", "b", "a", "b"]


def test_async_callable_objects_and_partials_are_awaited(clock: Clock) -> None:
    class Thing:
        def __init__(self) -> None:
            self.job = failing(1)

        async def __call__(self, value: str) -> str:
            return self.job() + value

    thing = Thing()
    assert asyncio.run(with_backoff(thing)("!")) == "done!"
    assert asyncio.run(with_backoff(functools.partial(Thing.__call__, Thing()))("?")) == "done?"
    assert thing.job.calls == 2


# --- the decorated function ---


@with_backoff
def plain_function(number: int, *, word: str = "w") -> list[str]:
    """A docstring."""
    return [word] * number


@with_backoff(max_attempts=2)
async def async_function(number: int, *, word: str = "w") -> list[str]:
    """A docstring."""
    return [word] * number


@pytest.mark.parametrize("function", [plain_function, async_function])
def test_decorated_function_keeps_its_metadata(function: Any) -> None:
    assert function.__name__ == function.__qualname__
    assert function.__name__ in ("plain_function", "async_function")
    assert function.__module__ == __name__
    assert function.__doc__ == "A docstring."
    assert (
        str(inspect.signature(function)) == "(number: 'int', *, word: 'str' = 'w') -> 'list[str]'"
    )
    assert function.__wrapped__ is not function
    assert pickle.loads(pickle.dumps(function)) is function


def test_decorated_function_keeps_its_types() -> None:
    assert_type(plain_function(2, word="a"), list[str])
    assert plain_function(2, word="a") == ["a", "a"]

    async def main() -> None:
        assert_type(await async_function(1), list[str])

    asyncio.run(main())


def test_decorated_async_function_is_a_coroutine_function() -> None:
    assert inspect.iscoroutinefunction(async_function)
    assert not inspect.iscoroutinefunction(plain_function)


@pytest.mark.usefixtures("clock")
def test_methods_class_methods_and_static_methods_can_be_decorated() -> None:
    class Account:
        opened = failing(1)

        def __init__(self) -> None:
            self.seen: list[tuple[Account, int]] = []
            self.job, self.async_job = failing(1), failing(2)

        @with_backoff
        def pay(self, amount: int) -> str:
            self.seen.append((self, amount))
            return self.job()

        @with_backoff()
        async def refund(self, amount: int) -> str:
            self.seen.append((self, amount))
            return self.async_job()

        @classmethod
        @with_backoff
        def open(cls) -> tuple[type[Account], str]:
            return cls, cls.opened()

        @staticmethod
        @with_backoff
        def rate(amount: int) -> int:
            return amount * 2

    account, other = Account(), Account()
    assert account.pay(3) == "done"
    assert asyncio.run(account.refund(amount=5)) == "done"
    assert account.seen == [(account, 3)] * 2 + [(account, 5)] * 3
    assert other.seen == []
    assert Account.open() == (Account, "done")
    assert Account.rate(4) == 8


def test_nested_calls_count_their_attempts_separately(clock: Clock) -> None:
    calls: list[int] = []

    @with_backoff(max_attempts=2)
    def function(depth: int) -> None:
        calls.append(depth)
        if depth < 2:
            function(depth + 1)
        raise OSError(depth)

    with pytest.raises(OSError, match="2"):
        function(0)
    assert calls == [0, 1, 2, 2, 1, 2, 2] * 2


def test_concurrent_calls_in_threads_count_their_attempts_separately(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_failed, second_begins, first_ended = (threading.Event() for _ in range(3))
    jobs = {"first": failing(1), "second": Job()}

    def monotonic() -> float:
        if threading.current_thread().name == "second" and not second_begins.is_set():
            second_begins.set()
            first_ended.wait(LIMIT)
        return clock.now

    def begin_second(error: BaseException) -> bool:
        first_failed.set()
        return second_begins.wait(LIMIT)

    monkeypatch.setattr("tenacity.time", SimpleNamespace(monotonic=monotonic))

    @with_backoff(retry_if=begin_second)
    def function() -> str:
        return jobs[threading.current_thread().name]()

    def second() -> None:
        first_failed.wait(LIMIT)
        function()

    threads = [
        threading.Thread(target=function, name="first"),
        threading.Thread(target=second, name="second"),
    ]
    for thread in threads:
        thread.start()
    threads[0].join(LIMIT)
    first_ended.set()
    threads[1].join(LIMIT)
    assert [job.calls for job in jobs.values()] == [2, 1]


def test_options_can_be_preset_with_partial(clock: Clock) -> None:
    patient = functools.partial(with_backoff, max_attempts=3, jitter=False, strategy="linear")
    job = failing(3)
    with pytest.raises(OSError, match="3"):
        patient(base_delay_ms=1000)(job)()
    assert clock.sleeps == [1, 2]


# --- what is rejected ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_attempts": 0}, "max_attempts must be 1 or more"),
        ({"max_attempts": -1}, "max_attempts must be 1 or more"),
        ({"base_delay_ms": -1}, "base_delay_ms must be 0 or more"),
        ({"base_delay_ms": math.nan}, "base_delay_ms must be 0 or more"),
        ({"max_delay_ms": -0.1}, "max_delay_ms must be 0 or more"),
        ({"max_delay_ms": math.inf}, "max_delay_ms must be 0 or more, and finite"),
        ({"max_delay_ms": -1, "strategy": lambda n: n}, "max_delay_ms must be 0 or more"),
        ({"base_delay_ms": 20, "max_delay_ms": 10}, "max_delay_ms must not be less than base"),
        ({"max_delay_ms": 49, "strategy": "linear"}, "max_delay_ms must not be less than base"),
        ({"timeout_total_s": 0}, "timeout_total_s must be more than 0"),
        ({"timeout_total_s": -3}, "timeout_total_s must be more than 0"),
        ({"strategy": "quadratic"}, "one of .*'exponential', 'linear', 'fibonacci'"),
        ({"strategy": None}, "strategy must be callable or one of"),
        ({"retry_on": "OSError"}, "retry_on must be an exception class or a tuple"),
        ({"retry_on": [OSError]}, "retry_on must be an exception class or a tuple"),
        ({"retry_on": (OSError, int)}, "retry_on must be an exception class or a tuple"),
    ],
)
def test_invalid_option_is_rejected_when_the_function_is_decorated(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        with_backoff(**options)


def generator() -> Iterator[int]:
    yield 1


async def async_generator() -> AsyncIterator[int]:
    yield 1


class GeneratorMethod:
    def __call__(self) -> Iterator[int]:
        yield 1


@pytest.mark.parametrize(
    "function",
    [
        generator,
        async_generator,
        functools.partial(generator),
        GeneratorMethod(),
        staticmethod(failing),
        classmethod(test_defaults_are_those_of_the_quickstart),  # type: ignore[arg-type]
        3,
    ],
)
def test_generators_and_non_functions_are_rejected(function: Any) -> None:
    with pytest.raises(TypeError, match="with_backoff cannot decorate"):
        with_backoff(function)
    with pytest.raises(TypeError, match="with_backoff cannot decorate"):
        with_backoff(max_attempts=2)(function)
