"""The numbers that a pod lives by, with the defaults of the quickstart."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, get_args, get_origin

from msgspec import Meta, Struct, ValidationError, convert
from msgspec.structs import fields, force_setattr

from fleet_q.core.errors import InvalidInput

MAX_SECONDS: Final = 10 * 365 * 86_400.0
"""Seconds that any duration may last: ten years, which every store's clock can be counted on by."""

MAX_PREFETCH: Final = 1_000
"""Steps held beyond those that run, at most: past this, larger turns are no cheaper a step."""

PREFIX: Final = "FLEET_Q_"
"""What the names of the environment variables begin with."""

SECRET: Final = frozenset({"api_keys"})
"""The settings whose values are never shown."""

Seconds = Annotated[float, Meta(gt=0, le=MAX_SECONDS)]
SecondsOrZero = Annotated[float, Meta(ge=0, le=MAX_SECONDS)]
Share = Annotated[float, Meta(gt=0, le=1)]
Count = Annotated[int, Meta(ge=1)]


def convert_setting(name: str, value: object, kind: Any, *, strict: bool = True) -> Any:
    """``value`` as the setting ``name``, whose type is ``kind``; not ``strict``, texts are read as
    numbers. Raises :class:`InvalidInput` with the name of the variable."""
    try:
        return convert(value, kind, strict=strict)
    except ValidationError as error:
        shown = "***" if name in SECRET else repr(value)
        reason = f"must be {_choices(kind)}" if get_origin(kind) is Literal else error
        raise InvalidInput(f"{PREFIX}{name.upper()}={shown}: {reason}") from None


def _choices(kind: Any) -> str:
    *first, last = get_args(kind)
    return f"{', '.join(first)} or {last}"


class PodSettings(Struct, frozen=True, kw_only=True):
    """Durations in seconds.

    A pod that has not sent a heartbeat for ``dead_pod_threshold`` is declared dead. A pod runs at
    most ``max_parallelism`` times ``capacity_threshold`` steps, and holds up to ``prefetch``
    more if it ends them so fast that it would have to wait for its next claim otherwise. A failed
    attempt is retried after up to ``retry_base_delay``, doubled for each further attempt,
    ``retry_max_delay`` at most. A pod that is told to stop has ``shutdown_grace`` to finish what
    it runs. On a store whose every write costs money, a pod falls asleep after ``sleep_after``
    without work. A leader prunes steps that were completed or cancelled, and pods that were heard
    of last, ``prune_after`` ago; unset, nothing is pruned.
    """

    heartbeat_interval: Seconds = 10.0
    claim_interval: Seconds = 5.0
    recovery_interval: Seconds = 30.0
    max_parallelism: Count = 8
    capacity_threshold: Share = 0.8
    prefetch: Annotated[int, Meta(ge=0, le=MAX_PREFETCH)] = MAX_PREFETCH
    dead_pod_threshold: Seconds = 60.0
    max_retries: Annotated[int, Meta(ge=0)] = 3
    retry_base_delay: SecondsOrZero = 1.0
    retry_max_delay: SecondsOrZero = 300.0
    shutdown_grace: SecondsOrZero = 25.0
    sleep_after: Seconds = 60.0
    prune_after: Seconds | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            given = getattr(self, field.name)
            force_setattr(self, field.name, convert_setting(field.name, given, field.type))
        if self.dead_pod_threshold < 2 * self.heartbeat_interval:
            raise InvalidInput(
                f"FLEET_Q_DEAD_POD_THRESHOLD ({self.dead_pod_threshold:g} s) must be at least twice"
                f" FLEET_Q_HEARTBEAT_INTERVAL ({self.heartbeat_interval:g} s), or one late"
                " heartbeat declares a pod dead"
            )
