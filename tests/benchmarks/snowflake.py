"""What a fleet on Snowflake costs: requests, statements that need a warehouse, and locks, counted
on the stand-in. It fails nothing; ``tests/fleet_on_snowflake/test_price.py`` holds the bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from fleet_q.core.settings import PodSettings
from fleet_q.core.step import Submit
from tests.benchmarks.cloud_services import STATEMENT_SECONDS, credits_for
from tests.fleet_on_snowflake.by_hand import USUAL, World, world_in
from tests.standin.client import Standin
from tests.standin.log import Entry
from tests.tables import create_tables

MINUTE = 60.0


class Price(NamedTuple):
    """The statements that something cost, to be divided by ``units``."""

    what: str
    units: int
    log: list[Entry]

    @property
    def row(self) -> tuple[str, ...]:
        requests = sum(statement.call is None for statement in self.log)
        statements = [statement for statement in self.log if statement.kind != "call"]
        billed = sum(statement.warehouse for statement in statements)
        others = len(statements) - billed
        held = sum(statement.held for statement in self.log) * 1_000
        values = (requests, billed, others, credits_for(others), held)
        return (self.what, *(_number(value / self.units) for value in values))


def main(
    latency: Annotated[float, typer.Option(help="of every statement, in milliseconds")] = 20,
) -> None:
    """Count what a fleet on Snowflake costs, on a stand-in for it."""
    table = Table(
        "", "requests", "with a warehouse", "without", "credits of those", "locks held, ms"
    )
    with Standin() as standin:
        for measure in MEASURES:
            with _world(standin, latency / 1_000) as world:
                for price in measure(world):
                    table.add_row(*price.row)
    out = Console()
    if not out.is_terminal:
        out.width = 100
    out.print(table)
    out.print(f"A statement takes {latency:g} ms and what the stand-in needs for it.")
    out.print(f"One without a warehouse is taken as {STATEMENT_SECONDS:g} s of cloud services.")


def submitting(world: World) -> Iterator[Price]:
    """One step, many, and one with an id of its own."""
    world.submit()
    yield Price("a step submitted", 1, _log(world))
    world.submit(1_000)
    yield Price("1,000 steps submitted at once", 1, _log(world))
    world.client.submit([Submit("mine", "{}")])
    yield Price("a step submitted under an id of one's own", 1, _log(world))


def draining(slots: int) -> Callable[[World], Iterator[Price]]:
    """Steps whose functions return at once, run by one pod without prefetch."""

    def drain(world: World) -> Iterator[Price]:
        settings = PodSettings(max_parallelism=slots, capacity_threshold=1.0, prefetch=0)
        pod = world.pod("pod", settings)
        pod.do_what_is_due()
        steps = 20 * slots
        world.submit(steps)
        _log(world)
        pod.machine.work_arrived()
        while len(pod.done) < steps:
            world.pass_time(0.1)
            pod.once()
        while pod.once():
            pass
        yield Price(f"a step done, {slots} at a time", steps, _log(world))

    return drain


def one_step(world: World) -> Iterator[Price]:
    """A lone step for a pod that is awake."""
    pod = world.pod("pod")
    pod.do_what_is_due()
    world.submit()
    _log(world)
    world.live(USUAL.claim_interval)
    assert pod.done
    yield Price("a lone step done", 1, _log(world))


def recovering(world: World) -> Iterator[Price]:
    """The steps of a dead pod."""
    leader = world.pod("a-leader", PodSettings(sleep_after=3_600.0, recovery_interval=3_600.0))
    dying = world.pod("dying", PodSettings(max_parallelism=100))
    leader.do_what_is_due()
    dying.keeps = True
    world.submit(80)
    dying.do_what_is_due()
    dying.die()
    leader.watch_for_a_threshold()
    _log(world)
    leader.recover()
    log = _log(world)
    assert world.client.counts()["pending"] == 80
    yield Price("80 steps of a dead pod recovered", 1, log)


def idling(world: World) -> Iterator[Price]:
    """Ten pods with nothing to do."""
    for number in range(10):
        world.pod(f"pod-{number}")
    world.live(0)
    _log(world)
    world.live(USUAL.sleep_after)
    yield Price("the minute before an idle pod falls asleep", 10, _log(world))
    world.live(2 * MINUTE)  # until their polls are as rare as they become
    _log(world)
    world.live(5 * MINUTE)
    yield Price("an hour of ten pods asleep, from five minutes", 1, _log(world) * 12)
    world.submit()
    _log(world)
    world.live(2 * MINUTE)
    assert all(pod.asleep for pod in world.pods)
    awake = [
        each
        for each in _log(world)
        if each.text != world.client.session.statements.text("change_counter")
    ]
    yield Price("a lone step for ten pods asleep, until they sleep again", 1, awake)


MEASURES = (submitting, draining(8), draining(100), one_step, recovering, idling)


@contextmanager
def _world(standin: Standin, latency: float) -> Iterator[World]:
    schema = standin.schema()
    create_tables(schema)
    schema.forget()
    schema.set(times={"request": latency})
    with world_in(schema) as world:
        yield world
    schema.drop()


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _log(world: World) -> list[Entry]:
    """The statements since the last call."""
    log = world.schema.log()
    world.schema.forget()
    return log


if __name__ == "__main__":
    typer.run(main)
