"""The settings of a pod: defaults and validation."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_q.core.errors import InvalidInput
from fleet_q.core.settings import PodSettings


def test_defaults_are_those_of_the_quickstart() -> None:
    assert msgspec.to_builtins(PodSettings()) == {
        "heartbeat_interval": 10.0,
        "claim_interval": 5.0,
        "recovery_interval": 30.0,
        "max_parallelism": 8,
        "capacity_threshold": 0.8,
        "prefetch": 1_000,
        "dead_pod_threshold": 60.0,
        "max_retries": 3,
        "retry_base_delay": 10.0,
        "retry_max_delay": 300.0,
        "max_snoozes": 1_000,
        "shutdown_grace": 25.0,
        "sleep_after": 60.0,
        "sleep_poll_interval": 30.0,
        "store_give_up_after": 3_600.0,
        "alert_oldest": 3_600.0,
        "alert_after": 300.0,
        "prune_after": None,
    }


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("heartbeat_interval", 0),
        ("claim_interval", 0),
        ("claim_interval", float("nan")),
        ("recovery_interval", -1),
        ("max_parallelism", 0),
        ("max_parallelism", 1.5),
        ("capacity_threshold", 0),
        ("capacity_threshold", 1.01),
        ("dead_pod_threshold", 0),
        ("max_retries", -1),
        ("retry_base_delay", -0.1),
        ("retry_max_delay", -0.1),
        ("shutdown_grace", -0.1),
    ],
)
def test_number_out_of_bounds_is_rejected(name: str, bad: float) -> None:
    with pytest.raises(msgspec.ValidationError, match=name):
        msgspec.convert({name: bad}, PodSettings)


@pytest.mark.parametrize(
    "name", ["max_retries", "retry_base_delay", "retry_max_delay", "shutdown_grace"]
)
def test_zero_is_valid_where_it_means_none(name: str) -> None:
    assert getattr(msgspec.convert({name: 0}, PodSettings), name) == 0


@given(st.floats(0.01, 1e6), st.floats(0.01, 1e6))
def test_dead_pod_threshold_must_be_at_least_two_heartbeat_intervals(
    interval: float, threshold: float
) -> None:
    def settings() -> PodSettings:
        return PodSettings(heartbeat_interval=interval, dead_pod_threshold=threshold)

    if threshold < 2 * interval:
        with pytest.raises(InvalidInput, match="must be at least twice FLEET_Q_HEARTBEAT_INTERVAL"):
            settings()
    else:
        assert settings().dead_pod_threshold == threshold
