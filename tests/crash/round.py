"""One round: a fleet at work, what happens to it, peace, and what is left."""

from __future__ import annotations

import contextlib
import signal
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.core import events as ev
from fleet_q.core.errors import StoreUnavailable
from fleet_q.core.ports import Store
from tests.crash import checks, exits, tasks
from tests.crash.agenda import Agenda
from tests.crash.client import Client
from tests.crash.fleet import Fleet
from tests.crash.place import Place
from tests.crash.plan import Freeze, Kill, Plan, Stop, Twin
from tests.crash.snowflake_place import SnowflakePlace
from tests.crash.sqlite_place import SqlitePlace
from tests.processes.launcher import QUICK, Launcher
from tests.waiting import LIMIT

_APP: Final = "tests.crash.tasks:app"
_SETTINGS: Final = QUICK | {
    "FLEET_Q_MAX_PARALLELISM": "4",
    "FLEET_Q_RETRY_BASE_DELAY": "0.05",
    "FLEET_Q_RETRY_MAX_DELAY": "0.2",
    "FLEET_Q_SHUTDOWN_GRACE": "1",
}


@dataclass
class Report:
    """What a round did, and what was wrong."""

    acts: list[str] = field(default_factory=list)
    processes: int = 0
    claims: int = 0
    recovered: int = 0
    pictures: int = 0
    """What power cuts left and was looked at."""
    strikes: Counter[str] = field(default_factory=Counter)
    """What struck the pods, by their own words."""
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


class Round:
    """A round in ``folder``, which keeps the store and the pods' logs."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._chance = Random(f"round {plan.seed}")
        self._virtual_clock = Agenda()
        self._report = Report(acts=[type(act).__name__ for _, act in plan.acts])

    def run(self) -> Report:
        """Do what the plan says, and look at what is left."""
        began = time.monotonic()
        with contextlib.ExitStack() as stack:
            place = self._place()
            stack.callback(place.close)
            signs = self._folder / "signs"
            fleet = self._fleet(stack, place.url, place.env, signs, self._plan.pods)
            client = Client(place.open, self._plan)
            store = stack.enter_context(contextlib.closing(place.open()))
            self._let_join(fleet, store)
            store.close()
            client.start()
            self._let_happen(place, fleet, client)
            self._make_peace(place, fleet, client)
            self._end(fleet)
            self._check(place, fleet, client, signs)
            for cut in self._chance.sample(place.cuts, min(len(place.cuts), 1)):
                self._check_drained(stack, cut, place, client)
        self._report.seconds = time.monotonic() - began
        return self._report

    def _place(self) -> Place:
        if self._plan.store == "snowflake":
            return SnowflakePlace(self._folder, self._virtual_clock)
        return SqlitePlace(self._folder, self._virtual_clock, self._chance)

    def _fleet(
        self,
        stack: contextlib.ExitStack,
        url: str,
        env: Mapping[str, str],
        signs: Path,
        pods: int,
    ) -> Fleet:
        env = {**_SETTINGS, **env, tasks.SIGNS: str(signs)}
        launcher = Launcher(signs.parent, url, _APP, env)
        stack.callback(launcher.close)
        return Fleet(launcher, signs.parent, self._virtual_clock, pods)

    def _let_join(self, fleet: Fleet, store: Store) -> None:
        def joined() -> bool:
            try:
                return len(store.pods().pods) == self._plan.pods
            except StoreUnavailable:
                return False

        if not fleet.tend_until(joined):
            self._fault(f"not all pods joined in {LIMIT:g} s")

    def _let_happen(self, place: Place, fleet: Fleet, client: Client) -> None:
        began = time.monotonic()
        for at, act in self._plan.acts:
            fleet.tend_until(lambda until=began + at: time.monotonic() >= until)  # type: ignore[misc]
            if isinstance(act, Kill | Freeze | Stop | Twin):
                fleet.do(act)
            else:
                self._fault(*place.do(act, fleet, client))

    def _make_peace(self, place: Place, fleet: Fleet, client: Client) -> None:
        """Nothing happens any more, and one fresh pod is there: everything has to end."""
        if not fleet.tend_until(lambda: self._virtual_clock.is_empty):
            self._fault("what was to be done later never was")
        place.calm()
        fleet.add("heir")
        if not fleet.tend_until(lambda: not client.is_alive()):
            self._fault(f"not all steps were taken in {LIMIT:g} s")
        self._fault(*client.faults)
        with contextlib.closing(place.open()) as store:
            self._let_end(fleet, store)

    def _let_end(self, fleet: Fleet, store: Store) -> None:
        def ended() -> bool:
            try:
                counts = store.counts()
            except StoreUnavailable:
                return False
            return not counts["pending"] + counts["claimed"]

        if not fleet.tend_until(ended):
            self._fault(f"after {LIMIT:g} s of peace there are {store.counts()}")

    def _end(self, fleet: Fleet) -> None:
        ending = fleet.alive
        self._fault(*fleet.end(signal.Signals[self._plan.ends_by]))
        self._report.processes = len(fleet.processes)
        self._ended_well = {p.pod_id for p in ending if p.popen.returncode == 0}

    def _check(self, place: Place, fleet: Fleet, client: Client, signs_file: Path) -> None:
        signs, began_in = checks.read_signs(signs_file)
        poison = {work.step_id for work in self._plan.work if work.kind == "poison"}
        poisoned = {pid for step_id, pid in began_in if step_id in poison}
        self._fault(*exits.faults(fleet.processes, self._plan, poisoned))
        with contextlib.closing(place.open()) as store:
            log = checks.read_log(store)
            self._fault(*checks.of_log(store))
            still_up = {p.pod_id for p in store.pods().pods if p.status != "down"}
        self._fault(*checks.of_work(self._plan.work, client.cancelled, log))
        self._fault(*checks.of_signs(log, signs), *checks.of_holders(log))
        self._fault(*place.compare(log))
        self._fault(*(f"{pod_id}: left, and is not down" for pod_id in still_up & self._ended_well))
        facts = [event.fact for history in log.values() for event in history]
        self._report.claims = sum(isinstance(fact, ev.Claimed) for fact in facts)
        self._report.recovered = sum(isinstance(fact, ev.Recovered) for fact in facts)
        self._report.strikes = exits.count(fleet.processes)
        self._report.pictures = len(place.cuts)

    def _check_drained(
        self, stack: contextlib.ExitStack, cut: Path, place: Place, client: Client
    ) -> None:
        """What a power cut left is gone on with."""
        fleet = self._fleet(stack, f"sqlite:///{cut}", place.env, cut.parent / "signs", pods=1)
        with contextlib.closing(SqliteStore(cut)) as store:
            self._let_end(fleet, store)
        fleet.end(signal.SIGTERM)
        with contextlib.closing(SqliteStore(cut)) as store:
            log = checks.read_log(store)
            faults = checks.of_log(store)
        there = [work for work in self._plan.work if work.step_id in log]
        faults += checks.of_work(there, client.cancelled, log)
        self._fault(*(f"{cut.parent.name}, drained: {fault}" for fault in faults))

    def _fault(self, *faults: str) -> None:
        self._report.faults += faults
