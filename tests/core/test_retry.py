"""Retry delays (curves, jitter, a limit), and the outcomes of failed attempts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_q.core.retry import RetryPolicy, Strategy, backoff, longest_delay, micros
from fleet_q.core.settings import PodSettings
from fleet_q.core.step import Fail, Snooze
from tests.core.helpers import claimed

seconds = st.floats(0, 1e6)
chances = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("attempt", "delay"), [(1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 10.0), (6, 10.0)]
)
def test_longest_delay_doubles_up_to_the_cap(attempt: int, delay: float) -> None:
    assert backoff(attempt, 1.0, 10.0, 0.5) == delay / 2


@given(st.integers(1, 10**9), seconds, seconds, chances)
def test_delay_is_between_zero_and_the_cap(
    attempt: int, base: float, cap: float, chance: float
) -> None:
    assert 0 <= backoff(attempt, base, cap, chance) <= cap


@given(st.integers(1, 200), seconds, seconds, chances)
def test_delay_never_decreases_with_the_attempt_for_the_same_chance(
    attempt: int, base: float, cap: float, chance: float
) -> None:
    assert backoff(attempt, base, cap, chance) <= backoff(attempt + 1, base, cap, chance)


@given(st.integers(1, 100), st.floats(0.001, 100), chances)
def test_delay_has_full_jitter(attempt: int, base: float, chance: float) -> None:
    longest = min(1e6, base * 2.0 ** (attempt - 1))
    assert backoff(attempt, base, 1e6, chance) == pytest.approx(chance * longest)


def test_zero_base_gives_zero_delay() -> None:
    assert backoff(1_000_000, 0.0, 300.0, 0.99) == 0.0


@pytest.mark.parametrize(("duration", "whole"), [(0, 0), (1.5, 1_500_000), (0.0000006, 1)])
def test_seconds_are_rounded_to_microseconds(duration: float, whole: int) -> None:
    assert micros(duration) == whole


def test_policy_makes_fail_outcome_with_a_delay_by_attempt() -> None:
    policy = RetryPolicy(base_delay=2.0, max_delay=10.0, chance=lambda: 0.5)
    outcomes = [policy.fail("step", "token", attempt, "Boom") for attempt in (1, 2, 3, 4, 99)]
    assert [outcome.retry_delay for outcome in outcomes] == [1.5e6, 3e6, 6e6, 7.5e6, 7.5e6]
    assert outcomes[0] == Fail("step", "token", "Boom", None, False, 1_500_000)
    permanent = policy.fail("step", "token", 1, "Boom", "Trace", permanent=True)
    assert (permanent.permanent, permanent.traceback) == (True, "Trace")


@pytest.mark.parametrize(
    ("strategy", "delays"),
    [
        ("exponential", [2, 4, 8, 16, 20, 20]),
        ("linear", [2, 4, 6, 8, 10, 12]),
        ("fibonacci", [2, 2, 4, 6, 10, 16]),
        (lambda attempt: 10 - 4 * attempt, [6, 2, 0, 0, 0, 0]),
        (lambda attempt: 1e9, [20] * 6),
    ],
)
def test_strategy_sets_the_longest_delays(strategy: Strategy, delays: list[float]) -> None:
    assert [longest_delay(strategy, attempt, 2, 20) for attempt in range(1, 7)] == delays


@pytest.mark.parametrize("strategy", ["exponential", "linear", "fibonacci"])
@pytest.mark.parametrize("base", [0.0, 1.0])
def test_delay_of_a_huge_attempt_is_computed_at_once(strategy: Strategy, base: float) -> None:
    assert longest_delay(strategy, 2**31, base, 300.0) == (300.0 if base else 0.0)


@given(st.integers(1, 100), st.floats(0.001, 100), st.floats(0.001, 1000), chances)
def test_retry_waits_at_least_half_the_longest_delay(
    attempt: int, base: float, cap: float, chance: float
) -> None:
    policy = RetryPolicy(base, cap, lambda: chance)
    longest = micros(longest_delay("exponential", attempt, base, cap))
    assert longest / 2 - 1 <= policy.fail("s", "t", attempt, "Boom").retry_delay <= longest


def test_tries_of_a_step_span_more_than_half_a_minute_by_default() -> None:
    settings = PodSettings()
    policy = RetryPolicy(settings.retry_base_delay, settings.retry_max_delay, lambda: 0.0)
    failures = [policy.fail("s", "t", n + 1, "Boom") for n in range(settings.max_retries)]
    assert sum(failure.retry_delay for failure in failures) > 30 * 1_000_000


@pytest.mark.parametrize("strategy", [lambda attempt: 1 / 0, lambda attempt: "soon"])
def test_strategy_that_fails_gives_the_longest_delay(strategy: Strategy) -> None:
    policy = RetryPolicy(1.0, 60.0, lambda: 0.0, strategy)
    assert policy.fail("step", "token", 1, "Boom").retry_delay == 60_000_000


def test_policy_puts_a_step_off_until_its_bound_and_then_fails_it() -> None:
    policy = RetryPolicy(1.0, 60.0, lambda: 0.0, max_snoozes=2)
    assert policy.snooze(claimed("step", snoozes=1), "token", 1.5) == Snooze(
        "step", "token", 1_500_000
    )
    failure = policy.snooze(claimed("step", snoozes=2), "token", 1.5)
    error = "Snooze: put off 2 times before; FLEET_Q_MAX_SNOOZES allows no more"
    assert failure == Fail("step", "token", error, permanent=True)
