"""Settings from the environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from fleet_q import Settings
from fleet_q.core.errors import InvalidInput
from fleet_q.services.app.settings import from_env
from tests.standin.client import NO_CLOUD_DETECTION


def test_defaults_are_those_of_the_quickstart() -> None:
    settings = from_env({})
    assert settings == Settings()
    assert (settings.heartbeat_interval, settings.claim_interval) == (10, 5)
    assert (settings.recovery_interval, settings.dead_pod_threshold) == (30, 60)
    assert (settings.max_parallelism, settings.capacity_threshold) == (8, 0.8)
    assert settings.max_retries == 3
    assert (settings.prune_after, settings.durability) == (None, "process")


def test_every_variable_is_read() -> None:
    settings = from_env(
        {
            "FLEET_Q_POD_ID": "pod-001",
            "FLEET_Q_HEARTBEAT_INTERVAL": "2.5",
            "FLEET_Q_MAX_PARALLELISM": " 16 ",
            "FLEET_Q_API_KEYS": "a, b,",
            "FLEET_Q_ALLOWED_HOSTS": "queue.example:8000, [::1]",
            "FLEET_Q_LOG_FORMAT": "json",
            "FLEET_Q_CLAIM_INTERVAL": "",
            "FLEET_Q_PRUNE_AFTER": "30d",
            "FLEET_Q_SHUTDOWN_GRACE": "1.5m",
            "FLEET_Q_DURABILITY": "power",
            "FLEET_Q_SERVICE_HOST": "10.0.0.1",
            "FLEET_Q_PORT": "tcp://10.0.0.1:8000",
            "PATH": "/bin",
        }
    )
    assert settings.pod_id == "pod-001"
    assert (settings.heartbeat_interval, settings.max_parallelism) == (2.5, 16)
    assert settings.api_keys == ("a", "b")
    assert settings.allowed_hosts == ("queue.example:8000", "[::1]")
    assert (settings.log_format, settings.claim_interval) == ("json", 5)
    assert (settings.prune_after, settings.durability) == (30 * 86_400, "power")
    assert settings.shutdown_grace == 90


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("FLEET_Q_HEARTBEAT_INTERVAL", "0", "> 0"),
        ("FLEET_Q_HEARTBEAT_INTERVAL", "soon", "float"),
        ("FLEET_Q_HEARTBEAT_INTERVAL", "nan", "> 0"),
        ("FLEET_Q_CAPACITY_THRESHOLD", "1.5", "<= 1"),
        ("FLEET_Q_MAX_PARALLELISM", "2.5", "int"),
        ("FLEET_Q_MAX_RETRIES", "-1", ">= 0"),
        ("FLEET_Q_LOG_FORMAT", "xml", "xml"),
        ("FLEET_Q_DURABILITY", "disk", "disk"),
        ("FLEET_Q_PRUNE_AFTER", "0", "> 0"),
        ("FLEET_Q_PRUNE_AFTER", "0d", "> 0"),
        ("FLEET_Q_PRUNE_AFTER", "a months", "not a length of time"),
        ("FLEET_Q_POD_ID", "x" * 201, "200"),
        ("FLEET_Q_DEAD_POD_THRESHOLD", "15", "twice"),
        ("FLEET_Q_API_KEYS", " , ,", "no key"),
        ("FLEET_Q_ALLOWED_HOSTS", " , ,", "no host"),
        ("FLEET_Q_ALLOWED_HOSTS", "http://queue.example", "queue.example"),
        ("FLEET_Q_API_KEYS", "fine,sécond", "ASCII"),
        ("FLEET_Q_API_KEYS", "two words", "ASCII"),
        ("FLEET_Q_MAX_PARALELISM", "8", "did you mean FLEET_Q_MAX_PARALLELISM?"),
    ],
)
def test_error_names_the_variable_and_the_invalid_value(name: str, value: str, says: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        from_env({name: value})
    assert name in str(refused.value)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"heartbeat_interval": 0}, "FLEET_Q_HEARTBEAT_INTERVAL=0: Expected `float` > 0.0"),
        ({"heartbeat_interval": float("nan")}, "FLEET_Q_HEARTBEAT_INTERVAL=nan: "),
        ({"shutdown_grace": float("inf")}, "FLEET_Q_SHUTDOWN_GRACE=inf: "),
        ({"retry_base_delay": float("-inf")}, "FLEET_Q_RETRY_BASE_DELAY=-inf: "),
        ({"claim_interval": "5"}, "FLEET_Q_CLAIM_INTERVAL='5': Expected `float`, got `str`"),
        ({"claim_interval": None}, "FLEET_Q_CLAIM_INTERVAL=None: "),
        ({"max_parallelism": 2.5}, "FLEET_Q_MAX_PARALLELISM=2.5: "),
        ({"max_parallelism": True}, "FLEET_Q_MAX_PARALLELISM=True: "),
        ({"max_retries": -1}, "FLEET_Q_MAX_RETRIES=-1: "),
        ({"store": None}, "FLEET_Q_STORE=None: "),
        ({"pod_id": 7}, "FLEET_Q_POD_ID=7: "),
        ({"log_level": "INFO"}, "FLEET_Q_LOG_LEVEL='INFO': must be debug, info, warning or error"),
        ({"durability": "disk"}, "FLEET_Q_DURABILITY='disk': must be process or power"),
        ({"api_keys": "hush"}, "FLEET_Q_API_KEYS=***: "),
        ({"api_keys": ("hush", 7)}, "FLEET_Q_API_KEYS=***: "),
        ({"max_payload_bytes": 1}, "FLEET_Q_MAX_PAYLOAD_BYTES=1: "),
    ],
)
def test_settings_in_code_are_checked_like_those_of_the_environment(
    wrong: dict[str, Any], says: str
) -> None:
    for make in (Settings, lambda **wrong: replace(Settings(), **wrong)):
        with pytest.raises(InvalidInput) as refused:
            make(**wrong)
        assert str(refused.value).startswith(says)
        assert "\n" not in str(refused.value)
        assert "hush" not in str(refused.value)


def test_settings_in_code_may_be_of_a_type_that_stands_for_another() -> None:
    settings = Settings(heartbeat_interval=5, api_keys=["a", "b"])  # type: ignore[arg-type]
    assert (settings.heartbeat_interval, settings.api_keys) == (5.0, ("a", "b"))


def test_list_of_keys_without_a_key_is_rejected() -> None:
    with pytest.raises(InvalidInput, match="FLEET_Q_API_KEYS"):
        Settings(api_keys=("",))


def test_keys_are_never_shown() -> None:
    with pytest.raises(InvalidInput) as refused:
        from_env({"FLEET_Q_API_KEYS": "hüsh"})
    assert "hüsh" not in str(refused.value)
    settings = from_env({"FLEET_Q_API_KEYS": "hush"})
    assert "hush" not in repr(settings)
    assert "***" in repr(settings)


@pytest.fixture(scope="module")
def a_user_with_settings() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLEET_Q_STORE", "sqlite:////the/users/own.db")
        patch.setenv("SNOWFLAKE_ACCOUNT", "the-users-own")
        yield


@pytest.mark.usefixtures("a_user_with_settings")
def test_tests_run_without_the_users_settings() -> None:
    assert from_env() == Settings()
    theirs = [name for name in os.environ if name.startswith(("FLEET_Q_", "SNOWFLAKE_"))]
    assert set(theirs) <= {NO_CLOUD_DETECTION[0]}
