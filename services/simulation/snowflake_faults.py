"""Generates what is peculiar to Snowflake, and steps whose results no store accepts."""

from __future__ import annotations

from random import Random
from typing import Final, cast, get_args

from msgspec.structs import replace

from fleet_q.services.simulation import scenario as sc
from fleet_q.services.simulation.models import Kind

LARGE_RESULTS: Final = 0.03
"""The share of functions whose results are too large for the store."""


def with_large_results(seed: int, work: list[sc.Work]) -> list[sc.Work]:
    """Let some functions return more than the store accepts."""
    chance = Random(f"scenario {seed}, large results")
    return [
        replace(item, behaviour="returns too much", bad_attempts=99)
        if item.behaviour == "succeeds" and chance.random() < LARGE_RESULTS
        else item
        for item in work
    ]


def with_errors(seed: int, kind: Kind, faults: list[sc.Fault]) -> list[sc.Fault]:
    """Let some transactions on Snowflake fail as victims of deadlocks, or for unknown reasons."""
    if kind == "sqlite":
        return faults
    chance = Random(f"scenario {seed}, errors")
    return [
        replace(fault, then=chance.choice(["fails", "unknown error", "deadlocks"]))
        if isinstance(fault, sc.TransactionFault) and fault.then == "fails"
        else fault
        for fault in faults
    ]


def snowflake_faults(
    seed: int, pods: list[str], kind: Kind, seconds: float, is_measured: bool
) -> list[sc.Fault]:
    """Behaviour of Snowflake that is rare; none in a fleet that is measured."""
    if is_measured or kind == "sqlite":
        return []
    chance = Random(f"scenario {seed}, Snowflake")
    faults: list[sc.Fault] = []
    for _ in range(chance.randint(0, 3)):
        table = cast("sc.Table", chance.choice(get_args(sc.Table)))
        share = chance.choice([0.1, 0.5, 1.0])
        length = chance.choice([60.0, 300.0, seconds])
        faults.append(sc.StaleReads(chance.uniform(0, seconds), table, share, length))
    for _ in range(chance.randint(0, 1)):
        length = chance.choice([10.0, 60.0, 300.0])
        faults.append(sc.WaitingInserts(chance.uniform(0, seconds), length))
    for _ in range(chance.randint(0, 1)):
        faults.append(sc.EarlyTimestamps(0.0, seconds))
    for _ in range(chance.randint(0, 1)):
        pod_id, length = chance.choice(pods), chance.choice([30.0, 120.0, 400.0])
        faults.append(sc.UnreachableStorage(chance.uniform(0, seconds), pod_id, length))
    for _ in range(chance.randint(0, 1)):
        delay = chance.choice([0.5, 5.0, 40.0])
        faults.append(sc.LateRepeats(chance.uniform(0, seconds / 2), seconds, delay))
    for _ in range(chance.randint(0, 1)):
        length = chance.choice([60.0, 300.0, seconds])
        faults.append(sc.RenewedSessions(chance.uniform(0, seconds), length))
    return faults
