"""One round: run a fleet, disturb it, let it finish all steps, check the store."""

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
from tests.crash.client import Client
from tests.crash.fleet import Fleet
from tests.crash.plan import Duplicate, Freeze, Kill, Plan, Stop
from tests.crash.schedule import Schedule
from tests.crash.snowflake_target import SnowflakeTarget
from tests.crash.sqlite_target import SqliteTarget
from tests.crash.target import Target
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
    """What happened in a round, and its faults."""

    acts: list[str] = field(default_factory=list)
    processes: int = 0
    claims: int = 0
    recovered: int = 0
    images: int = 0
    """How many possible results of power cuts were checked."""
    messages: Counter[str] = field(default_factory=Counter)
    """How often each of ``exits.MESSAGES`` was logged."""
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


class Round:
    """A round; ``folder`` holds the store and the pods' logs."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._chance = Random(f"round {plan.seed}")
        self._schedule = Schedule()
        self._report = Report(acts=[type(act).__name__ for _, act in plan.acts])

    def run(self) -> Report:
        """Carry out the plan and check the result."""
        began = time.monotonic()
        with contextlib.ExitStack() as stack:
            target = self._target()
            stack.callback(target.close)
            runs = self._folder / "runs"
            fleet = self._fleet(stack, target.url, target.env, runs, self._plan.pods)
            client = Client(target.open, self._plan)
            store = stack.enter_context(contextlib.closing(target.open()))
            self._wait_until_joined(fleet, store)
            store.close()
            client.start()
            self._disturb(target, fleet, client)
            self._wait_for_steps(target, fleet, client)
            self._end(fleet)
            self._check(target, fleet, client, runs)
            for cut in self._chance.sample(target.cuts, min(len(target.cuts), 1)):
                self._check_drained(stack, cut, target, client)
        self._report.seconds = time.monotonic() - began
        return self._report

    def _target(self) -> Target:
        if self._plan.store == "snowflake":
            return SnowflakeTarget(self._folder, self._schedule)
        return SqliteTarget(self._folder, self._schedule, self._chance)

    def _fleet(
        self,
        stack: contextlib.ExitStack,
        url: str,
        env: Mapping[str, str],
        runs: Path,
        pods: int,
    ) -> Fleet:
        env = {**_SETTINGS, **env, tasks.RUNS: str(runs)}
        launcher = Launcher(runs.parent, url, _APP, env)
        stack.callback(launcher.close)
        return Fleet(launcher, runs.parent, self._schedule, pods)

    def _wait_until_joined(self, fleet: Fleet, store: Store) -> None:
        def joined() -> bool:
            try:
                return len(store.pods().pods) == self._plan.pods
            except StoreUnavailable:
                return False

        if not fleet.run_until(joined):
            self._fault(f"not all pods joined within {LIMIT:g} s")

    def _disturb(self, target: Target, fleet: Fleet, client: Client) -> None:
        began = time.monotonic()
        for at, act in self._plan.acts:
            fleet.run_until(lambda until=began + at: time.monotonic() >= until)  # type: ignore[misc]
            if isinstance(act, Kill | Freeze | Stop | Duplicate):
                fleet.do(act)
            else:
                self._fault(*target.do(act, fleet, client))

    def _wait_for_steps(self, target: Target, fleet: Fleet, client: Client) -> None:
        """End all disturbances, add a fresh pod, and wait until every step is final."""
        if not fleet.run_until(lambda: self._schedule.is_empty):
            self._fault("scheduled actions were not carried out")
        target.stop_disturbing()
        fleet.add("last-pod")
        if not fleet.run_until(lambda: not client.is_alive()):
            self._fault(f"not all steps were submitted within {LIMIT:g} s")
        self._fault(*client.faults)
        with contextlib.closing(target.open()) as store:
            self._wait_until_final(fleet, store)

    def _wait_until_final(self, fleet: Fleet, store: Store) -> None:
        def ended() -> bool:
            try:
                counts = store.counts()
            except StoreUnavailable:
                return False
            return not counts["pending"] + counts["claimed"]

        if not fleet.run_until(ended):
            self._fault(
                f"not all steps are final after {LIMIT:g} s without disturbance: {store.counts()}"
            )

    def _end(self, fleet: Fleet) -> None:
        ending = fleet.alive
        self._fault(*fleet.end(signal.Signals[self._plan.ends_by]))
        self._report.processes = len(fleet.processes)
        self._ended_well = {p.pod_id for p in ending if p.popen.returncode == 0}

    def _check(self, target: Target, fleet: Fleet, client: Client, runs_file: Path) -> None:
        runs, processes_of_steps = checks.read_runs(runs_file)
        poison = {work.step_id for work in self._plan.work if work.kind == "poison"}
        poisoned = {pid for step_id, pid in processes_of_steps if step_id in poison}
        self._fault(*exits.faults(fleet.processes, self._plan, poisoned))
        with contextlib.closing(target.open()) as store:
            log = checks.read_log(store)
            self._fault(*checks.of_log(store))
            still_up = {p.pod_id for p in store.pods().pods if p.status != "down"}
        self._fault(*checks.of_work(self._plan.work, client.cancelled, log))
        self._fault(*checks.of_runs(log, runs), *checks.of_holders(log))
        self._fault(*target.compare(log))
        self._fault(
            *(
                f"{pod_id}: it left, but its status is not down"
                for pod_id in still_up & self._ended_well
            )
        )
        facts = [event.fact for history in log.values() for event in history]
        self._report.claims = sum(isinstance(fact, ev.Claimed) for fact in facts)
        self._report.recovered = sum(isinstance(fact, ev.Recovered) for fact in facts)
        self._report.messages = exits.count(fleet.processes)
        self._report.images = len(target.cuts)

    def _check_drained(
        self, stack: contextlib.ExitStack, cut: Path, target: Target, client: Client
    ) -> None:
        """Run a pod on what a power cut left, until every step there is final."""
        fleet = self._fleet(stack, f"sqlite:///{cut}", target.env, cut.parent / "runs", pods=1)
        with contextlib.closing(SqliteStore(cut)) as store:
            self._wait_until_final(fleet, store)
        fleet.end(signal.SIGTERM)
        with contextlib.closing(SqliteStore(cut)) as store:
            log = checks.read_log(store)
            faults = checks.of_log(store)
        remaining = [work for work in self._plan.work if work.step_id in log]
        faults += checks.of_work(remaining, client.cancelled, log)
        self._fault(*(f"{cut.parent.name}, drained: {fault}" for fault in faults))

    def _fault(self, *faults: str) -> None:
        self._report.faults += faults
