"""The scaler: when it reads the store, what it answers, and its HTTP API."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from fleet_q import Settings
from fleet_q.adapters.memory import MemoryStore
from fleet_q.core.errors import StoreUnavailable
from fleet_q.core.pod import Join
from fleet_q.core.ports import Backlog, SyncRequest
from fleet_q.core.queues import QueueChange
from fleet_q.core.rate import Rate
from fleet_q.core.retry import micros
from fleet_q.core.scaling import SOON
from fleet_q.core.step import Complete, Submit
from fleet_q.services.http.scaler import create_scaler_http
from fleet_q.services.scaler.scaler import Demand, Scaler
from tests.conformance.clock import FakeClock
from tests.services.conftest import Command

SETTINGS = Settings(claim_interval=5.0, max_parallelism=8, capacity_threshold=0.8)
NOTHING = Demand(0, 0, 0, 0.0, None, 0)


class CountingStore(MemoryStore):
    """A store in memory that counts reads, and whose reads may fail or be stale."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.reads: Counter[str] = Counter()
        self.is_down = False
        self.stale: Backlog | None = None

    def change_counter(self) -> int:
        self._read("polls")
        return super().change_counter()

    def backlog(self) -> Backlog:
        self._read("counts")
        if self.stale is not None:
            return self.stale
        return super().backlog()

    def _read(self, what: str) -> None:
        if self.is_down:
            raise StoreUnavailable("the store at secret.example.com does not answer")
        self.reads[what] += 1


class World:
    """A store, and a scaler on the same clock."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = CountingStore(self.clock)
        self.scaler = self.new_scaler()

    def new_scaler(self, **options: Any) -> Scaler:
        return Scaler(self.store, SETTINGS, clock=lambda: self.clock() / 1_000_000, **options)

    def submit(self, number: int = 1, delay: float = 0, queue: str = "default") -> None:
        known = sum(self.store.counts().values())
        waits = micros(delay)
        ids = (f"step-{known + n}" for n in range(number))
        self.store.submit([Submit(step_id, "{}", delay=waits, queue=queue) for step_id in ids])

    def demand(self, after: float = 0) -> Demand:
        self.clock.advance(after)
        return self.scaler.demand()

    def settle(self) -> None:
        """Let the scaler count until it has no reason to count again."""
        for _ in range(3):
            self.demand(after=5)
        self.store.reads.clear()


@pytest.fixture
def world() -> World:
    return World()


def test_demand_of_an_empty_store_is_nothing(world: World) -> None:
    assert world.demand() == NOTHING


def test_scaler_does_not_count_while_the_change_counter_stays_the_same(world: World) -> None:
    world.submit(7)
    world.settle()
    for _ in range(100):
        world.demand(after=30)
    assert world.store.reads == {"polls": 100}


def test_scaler_polls_once_a_claim_interval_however_often_it_is_asked(world: World) -> None:
    world.settle()
    for _ in range(100):
        world.demand(after=0.5)
    assert world.store.reads["polls"] == 10


def test_scaler_counts_after_a_change_and_once_more_a_claim_interval_later(world: World) -> None:
    world.settle()
    world.submit(7)
    assert world.demand(after=5) == Demand(7, 7, 0, 5.0, None, 2)
    assert world.store.reads["counts"] == 1
    world.demand(after=5)
    world.demand(after=5)
    assert world.store.reads["counts"] == 2


def test_step_that_the_count_after_its_change_did_not_see_is_counted(world: World) -> None:
    world.settle()
    world.store.stale = world.store.backlog()
    world.submit()
    assert world.demand(after=5).wanted_pods == 0
    world.store.stale = None
    assert world.demand(after=5).wanted_pods == 1


def test_scaler_counts_when_a_step_has_become_due_without_a_change(world: World) -> None:
    world.submit(delay=1_000)
    world.settle()
    assert world.demand(after=900).wanted_pods == 0
    assert world.demand(after=SOON).wanted_pods == 1
    assert world.store.reads["counts"] == 0
    world.clock.advance(1_000)
    demand = world.demand()
    assert (demand.claimable, demand.next_due_in, demand.wanted_pods) == (1, None, 1)
    assert world.store.reads["counts"] == 1


def test_age_and_due_time_go_on_between_two_counts(world: World) -> None:
    world.submit()
    world.submit(delay=500)
    assert world.demand(after=10) == Demand(2, 1, 0, 10.0, 490.0, 1)
    assert world.demand(after=1) == Demand(2, 1, 0, 11.0, 489.0, 1)


def test_claimed_steps_want_their_pods_until_they_are_completed(world: World) -> None:
    world.submit(7)
    join = SyncRequest("pod", "one", Join("pod", "one"), claim=7, claim_token="token")
    claimed = world.store.sync(join).claimed
    assert world.demand() == Demand(0, 0, 7, 0.0, None, 2)
    outcomes = tuple(Complete(step.step_id, "token", "null") for step in claimed)
    world.store.sync(SyncRequest("pod", "one", outcomes=outcomes))
    assert world.demand(after=5) == NOTHING


def test_no_pods_are_wanted_for_steps_of_a_paused_queue(world: World) -> None:
    world.submit(100, queue="api")
    world.submit(delay=10, queue="api")
    world.store.set_queue("api", QueueChange(paused=True))
    demand = world.demand()
    assert (demand.pending, demand.claimable, demand.wanted_pods) == (101, 0, 0)
    assert world.demand(after=20).wanted_pods == 0
    world.store.set_queue("api", QueueChange(paused=False))
    assert world.demand(after=5).wanted_pods == 17


def test_no_more_pods_are_wanted_than_run_what_a_queue_has_room_for(world: World) -> None:
    world.store.set_queue("api", QueueChange(max_running=8))
    world.submit(100, queue="api")
    assert world.demand().wanted_pods == 2
    world.store.sync(SyncRequest("pod", "one", Join("pod", "one"), claim=8, claim_token="token"))
    demand = world.demand(after=5)
    assert (demand.claimable, demand.claimed, demand.wanted_pods) == (0, 8, 2)


def test_pod_is_wanted_shortly_before_the_rate_of_a_queue_allows_another_claim(
    world: World,
) -> None:
    world.store.set_queue("api", QueueChange(rate=Rate(1, micros(1_000))))
    world.submit(2, queue="api")
    world.store.sync(SyncRequest("pod", "one", Join("pod", "one"), claim=1, claim_token="token"))
    outcome = Complete("step-0", "token", "null")
    world.store.sync(SyncRequest("pod", "one", outcomes=(outcome,)))
    world.settle()
    assert (world.demand().claimable, world.demand().wanted_pods) == (0, 0)
    assert world.demand(after=930).wanted_pods == 1
    world.clock.advance(60)
    demand = world.demand()
    assert (demand.claimable, demand.next_due_in, demand.wanted_pods) == (1, None, 1)


def test_wanted_pods_are_bounded_by_the_scaler(world: World) -> None:
    assert world.new_scaler(least=2).demand().wanted_pods == 2
    world.submit(100)
    assert world.new_scaler(most=3).demand().wanted_pods == 3


def test_change_is_counted_after_a_failed_read(world: World) -> None:
    world.settle()
    world.submit()
    world.store.is_down = True
    with pytest.raises(StoreUnavailable):
        world.demand(after=5)
    world.store.is_down = False
    assert world.demand().claimable == 1


# HTTP

Http = Callable[..., TestClient]


@pytest.fixture
def http(world: World) -> Http:
    def http(hosts: tuple[str, ...] = ("*",), **settings: Any) -> TestClient:
        return TestClient(create_scaler_http(world.scaler, replace(SETTINGS, **settings), hosts))

    return http


def test_demand_is_answered_as_json(world: World, http: Http) -> None:
    world.submit(7)
    assert http().get("/demand").json() == {
        "pending": 7,
        "claimable": 7,
        "claimed": 0,
        "oldest_age": 0.0,
        "next_due_in": None,
        "wanted_pods": 2,
    }


def test_metrics_are_what_prometheus_parses(world: World, http: Http) -> None:
    world.submit(7)
    world.submit(delay=500)
    world.clock.advance(10)
    answer = http().get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = list(text_string_to_metric_families(answer.text))
    assert {family.type for family in families} == {"gauge"}
    assert all(family.documentation for family in families)
    samples = {sample.name: sample.value for family in families for sample in family.samples}
    assert samples == {
        "fleet_q_pending_steps": 8,
        "fleet_q_claimable_steps": 7,
        "fleet_q_claimed_steps": 0,
        "fleet_q_oldest_claimable_age_seconds": 10,
        "fleet_q_next_due_seconds": 490,
        "fleet_q_wanted_pods": 2,
    }


def test_metrics_have_no_due_time_if_no_step_waits_for_one(http: Http) -> None:
    families = text_string_to_metric_families(http().get("/metrics").text)
    samples = {family.name: len(family.samples) for family in families}
    assert samples["fleet_q_next_due_seconds"] == 0
    assert samples["fleet_q_wanted_pods"] == 1


@pytest.mark.parametrize("path", ["/demand", "/metrics"])
def test_scaler_requires_a_key_if_there_are_keys(http: Http, path: str) -> None:
    client = http(api_keys=("secret",))
    assert client.get(path).status_code == 401
    assert client.get(path, headers={"Authorization": "Bearer secret"}).status_code == 200
    assert client.get(path, headers={"X-API-Key": "secret"}).status_code == 200
    assert client.get("/health").json() == {"status": "ok"}


def test_scaler_answers_only_to_its_hosts(http: Http) -> None:
    client = http(hosts=("localhost",))
    assert client.get("/demand", headers={"Host": "evil.example.com"}).status_code == 421
    assert client.get("/demand", headers={"Host": "localhost:8001"}).status_code == 200


@pytest.mark.parametrize("path", ["/demand", "/metrics"])
def test_scaler_answers_503_while_the_store_does_not_answer(
    world: World, http: Http, path: str
) -> None:
    world.store.is_down = True
    client = http()
    answer = client.get(path)
    assert answer.status_code == 503
    assert "secret.example.com" not in answer.text
    assert client.get("/health").status_code == 200


# The command


def test_scaler_once_prints_the_demand(fleet_q: Command) -> None:
    fleet_q("submit", "{}")
    code, out, err = fleet_q("scaler", "--once", "--json", "--min", "2")
    demand = json.loads(out)
    assert (code, err) == (0, "")
    assert (demand["pending"], demand["wanted_pods"]) == (1, 2)
    code, out, _ = fleet_q("scaler", "--once")
    assert (code, out.splitlines()[0].split()) == (0, ["pending", "1"])


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--json"], "--json needs --once"),
        (["--once", "--min", "3", "--max", "2"], "--max (2) must not be less than --min (3)"),
        (["--once", "--store", "memory://"], "memory:// exists only within one process"),
        (["--once"], "fleet-q.db"),
    ],
)
def test_scaler_rejects_what_it_cannot_do(fleet_q: Command, words: list[str], problem: str) -> None:
    code, out, err = fleet_q("scaler", *words)
    assert (code, out, problem in err) == (1, "", True)
