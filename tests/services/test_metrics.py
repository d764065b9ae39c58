"""The metrics of a pod and of its fleet, as Prometheus reads them."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from fleet_q import FleetQ, PermanentFailure, Snooze
from fleet_q.core.errors import StoreContended, StoreUnavailable
from fleet_q.core.events import DEFAULT_QUEUE
from fleet_q.core.recovery import RecoveryStats
from fleet_q.core.retry import MICROS
from fleet_q.core.step import Complete, Step, Submit
from fleet_q.core.worker.observer import Observer, Observers
from fleet_q.services.http.metrics import create_metrics_http
from fleet_q.services.metrics.exposition import Exposition
from fleet_q.services.metrics.fleet_count import VALID_FOR, FleetCount, seen_by
from fleet_q.services.worker.guarded_observer import GuardedObserver
from fleet_q.services.worker.pod_metrics import MOST_PAIRS, OTHERS, PodMetrics
from tests.conformance.clock import FakeClock
from tests.docs import DOCS, first_cells
from tests.services.conftest import QUICK, Run
from tests.services.test_scaler import SETTINGS, CountingStore
from tests.waiting import wait_until_async

QUICK_WITH_KEY: Final = replace(QUICK, api_keys=("secret",))

Values = dict[tuple[str, ...], float]

PROMTOOL: Final = shutil.which("promtool")


def values(text: str) -> Values:
    """The samples by name and the values of their labels, in the order of the labels' names."""
    return {
        (sample.name, *(label for _, label in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape(app: FleetQ) -> str:
    """What ``/metrics`` of an app answers."""
    answer = TestClient(create_metrics_http(app, ("*",))).get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return answer.text


async def scrape_while_running(app: FleetQ) -> str:
    """What ``/metrics`` answers while a pod runs."""
    async with app.running():
        return await asyncio.to_thread(scrape, app)


@pytest.fixture
def worked(app: FleetQ, run: Run) -> FleetQ:
    """An app whose pod has ended steps in every way."""

    @app.task("mail")
    def mail(how: str) -> str:
        if how == "retry":
            raise ValueError("again")
        if how == "fail":
            raise PermanentFailure("no")
        return how

    @app.task("async")
    async def is_async() -> None: ...

    snoozed: list[bool] = []

    @app.task("snooze")
    def snooze() -> None:
        if not snoozed:
            snoozed.append(True)
            raise Snooze(0)

    app.measure()
    mails = mail.submit_many([{"how": how} for how in ("a", "b", "fail")])
    retried = mail.options(max_retries=1).submit(how="retry")
    run(*mails, retried, is_async.submit(), snooze.submit())
    return app


def test_pod_counts_how_attempts_ended(worked: FleetQ) -> None:
    found = values(scrape(worked))
    outcomes = {key[1:]: n for key, n in found.items() if key[0] == "fleet_q_pod_outcomes_total"}
    assert outcomes == {
        ("completed", "default", "mail"): 2,
        ("failed", "default", "mail"): 2,
        ("retried", "default", "mail"): 1,
        ("completed", "default", "async"): 1,
        ("snoozed", "default", "snooze"): 1,
        ("completed", "default", "snooze"): 1,
    }


def test_pod_measures_first_claims_and_runs(worked: FleetQ) -> None:
    found = values(scrape(worked))
    for task_type, claimed, ran in (("mail", 4, 5), ("async", 1, 1), ("snooze", 1, 2)):
        pair = ("default", task_type)
        assert found["fleet_q_pod_wait_seconds_count", *pair] == claimed
        assert found["fleet_q_pod_run_seconds_count", *pair] == ran
        assert found["fleet_q_pod_run_seconds_bucket", "+Inf", *pair] == ran
    assert found["fleet_q_pod_sync_seconds_count",] > 0
    assert found["fleet_q_pod_sync_seconds_sum",] > 0


def test_fleet_is_counted_by_status_queue_and_task_type(worked: FleetQ) -> None:
    worked.submit({"task_type": "unknown"}, queue="gpu")
    worked.submit({"task_type": "mail", "how": "a"}, delay=3600)
    found = values(scrape(worked))
    assert found["fleet_q_steps", "completed"] == 4
    assert found["fleet_q_steps", "failed"] == 2
    assert found["fleet_q_queue_steps", "default", "failed", "mail"] == 2
    assert found["fleet_q_queue_steps", "default", "delayed", "mail"] == 1
    assert found["fleet_q_queue_steps", "gpu", "pending", "unknown"] == 1
    assert found["fleet_q_unserved_steps", "gpu", "unknown"] == 1
    assert found["fleet_q_claimable_steps",] == 1


@pytest.mark.skipif(PROMTOOL is None, reason="promtool comes with Prometheus")
def test_promtool_finds_nothing_wrong_with_the_metrics(worked: FleetQ) -> None:
    assert PROMTOOL is not None
    command = [PROMTOOL, "check", "metrics"]
    checked = subprocess.run(command, input=scrape(worked), capture_output=True, text=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_metrics_are_served_in_openmetrics_format_if_asked(worked: FleetQ) -> None:
    client = TestClient(create_metrics_http(worked, ("*",)))
    answer = client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    parse: Callable[[str], Iterable[Metric]] = openmetrics.text_string_to_metric_families
    names = {family.name for family in parse(answer.text)}
    assert "fleet_q_pod_outcomes" in names


def test_metrics_require_a_key_if_there_are_keys() -> None:
    app = FleetQ("memory://", settings=QUICK_WITH_KEY)
    client = TestClient(create_metrics_http(app, ("*",)))
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer secret"}).status_code == 200


def test_documented_metrics_are_those_that_are_served(worked: FleetQ) -> None:
    documented = {
        name.strip("`"): kind
        for heading in ("Metrics of the pod", "Metrics of the fleet")
        for name, kind, *_ in first_cells(DOCS / "monitoring.md", heading)
    }
    families = list(text_string_to_metric_families(asyncio.run(scrape_while_running(worked))))
    served = {
        family.name + ("_total" if family.type == "counter" else ""): family.type
        for family in families
    }
    assert documented == served
    pods = {name for name, *_ in first_cells(DOCS / "monitoring.md", "Metrics of the pod")}
    assert pods == {f"`{name}`" for name in served if name.startswith("fleet_q_pod_")}


def test_error_of_an_observer_harms_no_pod(app: FleetQ, run: Run) -> None:
    app.task("mail")(lambda: "sent")
    metrics = app.measure()
    metrics.waits = metrics.ended = metrics.runs = None  # type: ignore[assignment]
    (step,) = run(app.submit({"task_type": "mail"}))
    assert step.status == "completed"


def test_observer_that_fails_keeps_nothing_from_the_others() -> None:
    class Failing(Observer):
        def on_leads(self, leads: bool) -> None:
            raise OSError("no space left")

    first, last = PodMetrics(), PodMetrics()
    observers = Observers([first, GuardedObserver(Failing()), last])
    observers.on_leads(True)
    assert (first.leads, last.leads) == (True, True)


# Counters


def claimed(queue: str = DEFAULT_QUEUE, task_type: str = "mail", version: int = 2) -> Step:
    """A step that was claimed five seconds after its submission, and two after it was due."""
    return Step("s", "claimed", 0, "{}", 0, 3, 0, 5 * MICROS, 3 * MICROS, claim_token="t",
                version=version, queue=queue, task_type=task_type)  # fmt: skip


def test_wait_begins_when_a_step_is_due_and_ends_with_its_first_claim() -> None:
    metrics = PodMetrics()
    metrics.on_claimed([claimed(), claimed(version=5)])
    assert metrics.waits["default", "mail"].sum == 2
    assert dict(metrics.waits["default", "mail"].buckets)["1.0"] == 0
    assert dict(metrics.waits["default", "mail"].buckets)["5.0"] == 1


def test_many_queues_share_the_metrics_of_others() -> None:
    metrics = PodMetrics()
    metrics.on_claimed([claimed(f"queue-{n}") for n in range(MOST_PAIRS + 10)])
    assert len(metrics.waits) == MOST_PAIRS + 1
    assert metrics.waits[OTHERS].sum == 20


def test_step_by_hand_runs_until_its_outcome_is_recorded() -> None:
    metrics = PodMetrics()
    metrics.is_by_hand = True
    metrics.on_ended([(Complete("s", "t", "null"), claimed())], (), 9 * MICROS)
    metrics.on_synced(0, 0)
    assert metrics.runs["default", "mail"].sum == 4


def test_outcome_of_a_lost_claim_is_counted_as_rejected() -> None:
    metrics = PodMetrics()
    metrics.on_ended([(Complete("s", "t", "null"), claimed())], ["s"], 0)
    assert metrics.ended == {("default", "mail", "rejected"): 1}


def test_contention_and_outages_are_counted_apart() -> None:
    metrics = PodMetrics()
    metrics.on_store_unavailable(StoreContended("too many wait"), 1)
    metrics.on_store_unavailable(StoreUnavailable("no answer"), 1)
    metrics.on_synced(3.0, 2.5)
    assert (metrics.contended, metrics.unavailable, metrics.lock_waited) == (1, 1, 2.5)


def test_recoveries_add_up() -> None:
    metrics = PodMetrics()
    metrics.on_recovery_ended(RecoveryStats(1, 3, 2, 1), None)
    metrics.on_recovery_ended(RecoveryStats(1, 1, 1, 0), StoreUnavailable("no answer"))
    recovered = (metrics.dead_pods, metrics.requeued, metrics.failed, metrics.failed_recoveries)
    assert recovered == (2, 3, 1, 1)


# The count of the fleet


class CountedStore(CountingStore):
    """A store whose counts may hang."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.answers = threading.Event()
        self.answers.set()

    def change_counter(self) -> int:
        self.answers.wait()
        return super().change_counter()


class World:
    """A store, and a count of its steps on the same clock."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = CountedStore(self.clock)
        self.count = self.new_count()

    def new_count(self, within: float = 60) -> FleetCount:
        return FleetCount(
            lambda: self.store, SETTINGS, within=within, clock=lambda: self.clock() / MICROS
        )

    def values(self, after: float = 0) -> Values:
        self.clock.advance(after)
        return values(Exposition(lambda: None, None, self.count).text("")[0].decode())


@pytest.fixture
def world() -> World:
    return World()


def test_fleet_is_counted_only_after_a_change_or_a_minute(world: World) -> None:
    world.store.submit([Submit("a", "{}")])
    world.values()
    world.values(after=5)
    world.store.reads.clear()
    for _ in range(20):
        assert world.values(after=15)["fleet_q_pending_steps",] == 1
    assert world.store.reads["counts"] == 300 / VALID_FOR
    world.store.submit([Submit("b", "{}")])
    assert world.values(after=15)["fleet_q_pending_steps",] == 2


def test_age_of_the_oldest_step_grows_between_counts(world: World) -> None:
    world.store.submit([Submit("a", "{}")])
    world.values()
    world.values(after=5)
    found = world.values(after=15)
    assert found["fleet_q_oldest_claimable_age_seconds",] == 20
    assert found["fleet_q_queue_oldest_age_seconds", "default", ""] == 20
    assert found["fleet_q_pod_count_age_seconds",] == 15


def test_metrics_lack_the_fleet_while_the_store_does_not_answer(world: World) -> None:
    assert world.values()["fleet_q_pod_count_ok",] == 1
    world.store.is_down = True
    assert world.values(after=15) == {("fleet_q_pod_count_ok",): 0}
    world.store.is_down = False
    assert world.values()["fleet_q_pod_count_ok",] == 1


def test_scrape_does_not_wait_for_a_store_that_hangs(world: World) -> None:
    world.store.answers.clear()
    world.count = world.new_count(within=0.01)
    assert world.values() == {("fleet_q_pod_count_ok",): 0}
    world.store.answers.set()


def test_pod_tells_what_it_has_seen_of_changes_while_it_looks_for_them(tmp_path: Path) -> None:
    app = FleetQ(f"sqlite:///{tmp_path}/fleet.db", settings=QUICK)
    app.task("mail")(lambda: None)
    metrics = app.measure()
    assert seen_by(app.pod, metrics) is None

    async def main() -> None:
        async with app.running() as pod:
            await wait_until_async(lambda: seen_by(pod, metrics) is not None)
            before = seen_by(pod, metrics)
            app.submit({"task_type": "mail"})
            await wait_until_async(lambda: seen_by(pod, metrics) != before)

    asyncio.run(main())
    assert seen_by(app.pod, metrics) is None
    app.close()
