"""The settings of a pod, their defaults (those of the quickstart) and their validation."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, get_args, get_origin

from msgspec import Meta, Struct, ValidationError, convert
from msgspec.structs import fields, force_setattr

from fleet_q.core.durations import UNITS, parse_duration
from fleet_q.core.errors import InvalidInput
from fleet_q.core.retry import MAX_SNOOZES

MAX_SECONDS: Final = 10 * 365 * 86_400.0
"""The largest duration in seconds: ten years, which every store's timestamps can hold."""

MAX_PREFETCH: Final = 1_000
"""The largest ``prefetch``: beyond it, larger batches no longer lower the cost of a step."""

PREFIX: Final = "FLEET_Q_"
"""The prefix of all environment variables."""

SECRET: Final = frozenset({"api_keys", "alert_webhook"})
"""The settings whose values are never shown in messages."""

Seconds = Annotated[float, Meta(gt=0, le=MAX_SECONDS)]
SecondsOrZero = Annotated[float, Meta(ge=0, le=MAX_SECONDS)]
DURATIONS: Final = (Seconds, SecondsOrZero, Seconds | None)
"""The types of settings that are lengths of time."""

Share = Annotated[float, Meta(gt=0, le=1)]
Count = Annotated[int, Meta(ge=1)]


def convert_setting(name: str, value: object, kind: Any, *, strict: bool = True) -> Any:
    """Convert ``value`` to the type ``kind`` of the setting ``name``. Unless ``strict``, texts are
    parsed as numbers or lengths of time. Raises :class:`InvalidInput`, which names the environment
    variable."""
    try:
        if not strict and isinstance(value, str) and kind in DURATIONS and value[-1:] in UNITS:
            value = parse_duration(value)
        return convert(value, kind, strict=strict)
    except (ValidationError, InvalidInput) as error:
        shown = "***" if name in SECRET else repr(value)
        reason = f"must be {_choices(kind)}" if get_origin(kind) is Literal else error
        raise InvalidInput(f"{PREFIX}{name.upper()}={shown}: {reason}") from None


def _choices(kind: Any) -> str:
    *first, last = get_args(kind)
    return f"{', '.join(first)} or {last}"


class PodSettings(Struct, frozen=True, kw_only=True):
    """The settings of a pod. All durations are in seconds; variables may say ``10s`` or ``30d``.

    - ``dead_pod_threshold``: a pod that sends no heartbeat for this long is declared dead.
    - ``max_parallelism`` times ``capacity_threshold``: how many steps a pod runs at once.
    - ``prefetch``: how many more steps it may claim in advance, if its steps are so short that it
      would otherwise wait for its next claim.
    - ``retry_base_delay``, ``retry_max_delay``: the longest delay before the first retry, which
      doubles with every further attempt, and its limit. The shortest delay is half the longest, so
      by default the tries of a step that fails at once span at least 5 + 10 + 20 = 35 s, and a
      service that the functions need may be away for half a minute.
    - ``max_snoozes``: how often a function may put its step off; then the step fails.
    - ``shutdown_grace``: how long a pod that shuts down waits for running steps.
    - ``sleep_after``: on a store whose writes are billed, a pod without work falls asleep after it.
    - ``sleep_poll_interval``: the longest time between two polls of a sleeping pod, unless
      ``claim_interval``, with which its polls begin, is longer.
    - ``store_give_up_after``: a pod stops if for this long its store has carried out nothing. An
      hour is longer than most outages, which a pod should outlast, because a restart throws away
      what its functions have done; and it is short enough for a pod whose own network, credentials
      or version are the cause, which a restart may cure.
    - ``alert_oldest``: an alert is raised if the oldest due step of a queue waits for this long.
    - ``alert_after``: an alert is raised if steps are unserved, or a schedule is late, for this
      long; that for dead letters is over if none follows for this long.
    - ``prune_after``: the leader prunes steps that were completed or cancelled, and pods that were
      last seen, at least this long ago; ``None``: nothing is pruned.
    """

    heartbeat_interval: Seconds = 10.0
    claim_interval: Seconds = 5.0
    recovery_interval: Seconds = 30.0
    max_parallelism: Count = 8
    capacity_threshold: Share = 0.8
    prefetch: Annotated[int, Meta(ge=0, le=MAX_PREFETCH)] = MAX_PREFETCH
    dead_pod_threshold: Seconds = 60.0
    max_retries: Annotated[int, Meta(ge=0)] = 3
    retry_base_delay: SecondsOrZero = 10.0
    retry_max_delay: SecondsOrZero = 300.0
    max_snoozes: Annotated[int, Meta(ge=0)] = MAX_SNOOZES
    shutdown_grace: SecondsOrZero = 25.0
    sleep_after: Seconds = 60.0
    sleep_poll_interval: Seconds = 30.0
    store_give_up_after: Seconds = 3_600.0
    alert_oldest: Seconds = 3_600.0
    alert_after: Seconds = 300.0
    prune_after: Seconds | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            force_setattr(self, field.name, convert_setting(field.name, value, field.type))
        if self.dead_pod_threshold < 2 * self.heartbeat_interval:
            raise InvalidInput(
                f"FLEET_Q_DEAD_POD_THRESHOLD ({self.dead_pod_threshold:g} s) must be at least twice"
                f" FLEET_Q_HEARTBEAT_INTERVAL ({self.heartbeat_interval:g} s), or one late"
                " heartbeat declares a pod dead"
            )
