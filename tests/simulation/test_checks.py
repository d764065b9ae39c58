"""Every safety check can fail: each is given a history that breaks its promise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from msgspec import Raw
from msgspec.structs import replace

from fleet_q.core import events as ev
from fleet_q.core import pod as pods
from fleet_q.core import step as steps
from fleet_q.core.calls import StoreCall
from fleet_q.core.events import Event
from fleet_q.core.pod import Pod
from fleet_q.core.ports import PodList, SyncRequest
from fleet_q.services.simulation.actor import Actor
from fleet_q.services.simulation.safety_checks import SafetyChecks
from fleet_q.services.simulation.scenario import Work
from fleet_q.services.simulation.violation import Violation

SYNC = StoreCall("sync", (SyncRequest("pod", "i", claim=1, claim_token="x"),))
PREFETCH = StoreCall("sync", (SyncRequest("pod", "i", claim=1, claim_token="x", prefetch=1),))
RECOVER = StoreCall("recover")
DEAD_AFTER = 60
PRUNE_AFTER = 20


class NamedActor:
    """An actor with a name only; the checks read nothing else."""

    def __init__(self, name: str) -> None:
        self.name = name


ONE, OTHER = (cast("Actor", NamedActor(name)) for name in ("one", "other"))


class History:
    """Writes events, each with its resulting row, and has them checked."""

    def __init__(self) -> None:
        work = {name: Work(step_id=name) for name in ("s", "t", "u", "v")}
        work["late"] = Work(step_id="late", delay=10)
        self.now = 0
        self.unserved: set[str] = set()  # ids of steps that no pod may take
        self.checks = SafetyChecks(
            work,
            DEAD_AFTER,
            lambda: self.now,
            self.silence,
            PRUNE_AFTER,
            may_take=lambda actor, record: all(
                record is not self.checks.steps.get(step_id) for step_id in self.unserved
            ),
        )
        self.steps: dict[str, steps.Step] = {}
        self.pods: dict[str, pods.Pod] = {}
        self.versions: dict[str, int] = {}

    def silence(self, actor: Actor, since: int) -> int:
        """No actor has ever been frozen or cut off."""
        return self.now - since

    def step(
        self,
        fact: ev.StepFact,
        *,
        at: int = 10,
        step_id: str = "s",
        by: Actor = ONE,
        call: StoreCall = SYNC,
        version: int | None = None,
        row: Callable[[steps.Step], steps.Step] = lambda row: row,
    ) -> None:
        number = self.versions.get(step_id, 0) + 1 if version is None else version
        self.now = at
        event: Any = Event(step_id, number, at, by.name, fact)
        try:
            after = steps.evolve(self.steps.get(step_id), event)
        except Exception:  # an event that the core rejects
            after = replace(self.steps[step_id], version=number)
        self.steps[step_id], self.versions[step_id] = after, number
        self.checks.committed(by, call, None, [(event, row(after))], [])

    def pod(self, fact: ev.PodFact, *, at: int = 10, by: Actor = ONE, of: Actor = ONE) -> None:
        number = self.versions.get(of.name, 0) + 1
        self.now = at
        event: Any = Event(of.name, number, at, by.name, fact)
        try:
            after = pods.evolve(self.pods.get(of.name), event)
        except Exception:
            after = replace(self.pods[of.name], version=number)
        self.pods[of.name], self.versions[of.name] = after, number
        call = StoreCall("declare_dead") if isinstance(fact, ev.DeclaredDead) else SYNC
        self.checks.committed(by, call, None, [], [(event, after)])

    def heartbeat(
        self, *, of: Actor, at: int = 10, row: Callable[[Pod], Pod] = lambda row: row
    ) -> None:
        self.now = at
        after = self.pods[of.name] = row(replace(self.pods[of.name], last_heartbeat_ts=at))
        self.checks.committed(of, SYNC, None, [], [(None, after)])

    def reads_pods(self, actor: Actor, at: int) -> None:
        """The actor reads the pods, and so determines the leader."""
        self.checks.committed(actor, StoreCall("pods"), PodList(at, ()), [], [])


@pytest.fixture
def history() -> History:
    """Two pods, and a step that pod ``one`` has claimed."""
    history = History()
    history.pod(ev.Joined("i"))
    history.pod(ev.Joined("j"), by=OTHER, of=OTHER)
    history.step(submitted())
    history.step(claimed())
    return history


def submitted(priority: int = 0, max_retries: int = 1, available: int = 10) -> ev.Submitted:
    return ev.Submitted(Raw(b"{}"), priority, max_retries, available)


def claimed(token: str = "x", incarnation: str = "i") -> ev.Claimed:
    return ev.Claimed(token, incarnation)


def completed(token: str = "x", result: str = "x") -> ev.Completed:
    return ev.Completed(token, Raw(f'"{result}"'.encode()))


def retried(token: str = "x", available: int = 10) -> ev.Retried:
    return ev.Retried(token, "Boom", None, available)


def violation_of(promise: str) -> Any:
    return pytest.raises(Violation, match=f"^{promise}: ")


def test_valid_history_breaks_no_promise(history: History) -> None:
    history.step(completed())
    assert history.checks.unfinished == 0


def test_gap_in_versions_is_detected(history: History) -> None:
    with violation_of("versions"):
        history.step(completed(), version=4)


def test_second_submission_is_detected(history: History) -> None:
    with violation_of("versions"):
        history.step(submitted(), version=1)


def test_event_before_submission_is_detected() -> None:
    history = History()
    history.steps["s"] = steps.Step("s", "pending", 0, "{}", 0, 1, 0, 0, 0)
    with violation_of("versions"):
        history.step(claimed(), version=1)


def test_event_older_than_previous_one_is_detected(history: History) -> None:
    with violation_of("order"):
        history.step(completed(), at=9)


def test_older_event_is_allowed_after_store_clock_was_set(history: History) -> None:
    history.checks.clock_set_at = 11
    history.step(completed(), at=9)


def test_claim_of_claimed_step_is_detected(history: History) -> None:
    with violation_of("one holder"):
        history.step(claimed("y", "j"), by=OTHER)


def test_claim_before_delay_is_over_is_detected(history: History) -> None:
    history.step(submitted(available=20), step_id="late")
    with violation_of("delays"):
        history.step(claimed("y"), step_id="late")


def test_claim_before_backoff_is_over_is_detected(history: History) -> None:
    history.step(retried(available=20))
    with violation_of("delays"):
        history.step(claimed("y"), at=19)


def test_early_claim_is_allowed_after_store_clock_was_set_back(history: History) -> None:
    history.step(retried(available=20))
    history.checks.clock_set_at = 11
    history.step(claimed("y"), at=9)


def test_claim_by_unknown_incarnation_is_detected(history: History) -> None:
    history.step(submitted(), step_id="t")
    with violation_of("ended incarnations stay ended"):
        history.step(claimed("y", "h"), step_id="t")


def test_claim_by_pod_that_may_not_take_the_step_is_detected(history: History) -> None:
    history.unserved.add("t")
    history.step(submitted(), step_id="t")
    with violation_of("routes"):
        history.step(claimed("y"), step_id="t")


def test_step_that_pod_may_not_take_may_be_passed_over(history: History) -> None:
    history.unserved.add("t")
    history.step(submitted(priority=5), step_id="t")
    history.step(submitted(), step_id="u")
    assert history.checks.first_claimable(ONE, 10) == "u"
    history.step(claimed("y"), step_id="u")
    assert history.checks.first_claimable(ONE, 10) is None


def test_outcome_with_wrong_claim_token_is_detected(history: History) -> None:
    with violation_of("tokens"):
        history.step(completed("y", "y"))


def test_result_of_another_claim_is_detected(history: History) -> None:
    with violation_of("tokens"):
        history.step(completed("x", "y"))


def test_second_completion_is_detected(history: History) -> None:
    history.step(completed())
    with violation_of("completed once"):
        history.step(completed())


def test_cancellation_of_completed_step_is_detected(history: History) -> None:
    history.step(completed())
    with violation_of("one final status"):
        history.step(ev.Cancelled())


def test_replay_of_claimed_step_is_detected(history: History) -> None:
    with violation_of("one final status"):
        history.step(ev.Replayed())


def test_retry_after_last_try_is_detected(history: History) -> None:
    history.step(retried())
    history.step(claimed("y"))
    with violation_of("tries"):
        history.step(retried("y"))


def test_failure_with_tries_left_is_detected(history: History) -> None:
    with violation_of("tries"):
        history.step(ev.Failed("x", "Boom", None))


def test_recovery_from_live_incarnation_is_detected(history: History) -> None:
    history.reads_pods(ONE, at=10)
    with violation_of("recovery"):
        history.step(ev.Recovered("x", "died"), call=RECOVER)


def test_death_declared_by_another_pod_than_leader_is_detected(history: History) -> None:
    history.reads_pods(OTHER, at=10)
    with violation_of("one leader"):
        history.pod(ev.DeclaredDead("i"), at=100, by=OTHER)


def test_death_declared_before_threshold_is_detected(history: History) -> None:
    history.reads_pods(ONE, at=10)
    with violation_of("recovery"):
        history.pod(ev.DeclaredDead("j"), at=69, of=OTHER)


def test_heartbeat_of_pod_that_left_is_detected(history: History) -> None:
    history.pod(ev.Left("j"), by=OTHER, of=OTHER)
    with violation_of("ended incarnations stay ended"):
        history.heartbeat(of=OTHER)


def test_heartbeat_of_sleeping_pod_is_detected(history: History) -> None:
    history.pod(ev.Slept("j"), by=OTHER, of=OTHER)
    with violation_of("ended incarnations stay ended"):
        history.heartbeat(of=OTHER)


def test_heartbeat_with_wrong_row_is_detected(history: History) -> None:
    with violation_of("tables"):
        history.heartbeat(of=OTHER, row=lambda row: replace(row, version=2))


def test_ended_incarnation_that_joins_is_detected(history: History) -> None:
    history.pod(ev.Left("j"), by=OTHER, of=OTHER)
    with violation_of("ended incarnations stay ended"):
        history.pod(ev.Joined("j"), by=OTHER, of=OTHER)


def test_pod_that_sleeps_with_claimed_steps_is_detected(history: History) -> None:
    with violation_of("no sleeping pod holds steps"):
        history.pod(ev.Slept("i"))


def test_row_that_differs_from_log_is_detected(history: History) -> None:
    with violation_of("tables"):
        history.step(completed(), row=lambda row: replace(row, retry_count=1))


def test_row_with_another_pod_is_detected(history: History) -> None:
    history.step(submitted(), step_id="t")
    with violation_of("tables"):
        history.step(claimed("y"), step_id="t", row=lambda row: replace(row, claimed_by="other"))


@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 1)])
def test_claim_in_wrong_order_is_detected(history: History, first: int, second: int) -> None:
    history.step(completed())
    history.checks.committed(ONE, SYNC, None, [], [])
    history.step(submitted(priority=second), at=10, step_id="t")
    late: Any = Event("u", 1, 11, None, submitted(priority=first, available=11))
    row = steps.evolve(None, late)
    history.checks.committed(ONE, SYNC, None, [(late, row)], [])
    history.steps["u"], history.versions["u"] = row, 1
    with violation_of("priority"):
        history.step(claimed("y"), at=12, step_id="u")


def test_prefetch_of_step_on_its_last_try_is_detected(history: History) -> None:
    history.step(submitted(max_retries=0), step_id="t")
    with violation_of("last tries"):
        history.step(claimed("y"), step_id="t", call=PREFETCH)


def test_step_on_its_last_try_may_be_skipped_only_by_prefetch(history: History) -> None:
    history.step(submitted(max_retries=0), at=10, step_id="t")
    history.step(submitted(), at=11, step_id="u")
    history.step(claimed("y"), at=12, step_id="u", call=PREFETCH)
    history.step(submitted(), at=13, step_id="v")
    with violation_of("priority"):
        history.step(claimed("y"), at=14, step_id="v")


def test_step_that_kills_more_processes_than_it_has_tries_is_detected(history: History) -> None:
    history.checks.crashed_by("s")
    history.checks.crashed_by("s")
    with violation_of("crashes are bounded"):
        history.checks.crashed_by("s")


def test_function_that_begins_under_ended_claim_is_detected(
    history: History,
) -> None:
    history.checks.begins("s", "x", asked_at=10)
    history.step(retried(), at=20)
    history.checks.begins("s", "x", asked_at=20)
    with violation_of("only claimed steps begin"):
        history.checks.begins("s", "x", asked_at=21)


def test_old_final_step_and_pod_may_be_pruned_and_their_ids_reused(history: History) -> None:
    history.step(completed(), at=20)
    history.pod(ev.Left("j"), at=20, by=OTHER, of=OTHER)
    history.reads_pods(ONE, at=40)
    history.checks.pruned(ONE, ["s", "other"])
    del history.steps["s"], history.versions["s"], history.pods["other"], history.versions["other"]
    history.step(submitted(), at=41)
    history.pod(ev.Joined("k"), at=41, by=OTHER, of=OTHER)


def test_pruning_of_claimed_step_is_detected(history: History) -> None:
    history.reads_pods(ONE, at=60)
    with violation_of("pruning"):
        history.checks.pruned(ONE, ["s"])


def test_pruning_of_step_before_limit_is_detected(history: History) -> None:
    history.step(completed(), at=20)
    history.reads_pods(ONE, at=39)
    with violation_of("pruning"):
        history.checks.pruned(ONE, ["s"])


def test_pruning_of_pod_that_is_up_is_detected(history: History) -> None:
    history.reads_pods(ONE, at=30)
    with violation_of("pruning"):
        history.checks.pruned(ONE, ["other"])


def test_pruning_of_pod_before_limit_is_detected(history: History) -> None:
    history.pod(ev.Left("j"), by=OTHER, of=OTHER)
    history.reads_pods(ONE, at=29)
    with violation_of("pruning"):
        history.checks.pruned(ONE, ["other"])


def test_pruning_by_pod_that_never_led_is_detected(history: History) -> None:
    history.step(completed(), at=20)
    history.reads_pods(OTHER, at=40)
    with violation_of("one leader"):
        history.checks.pruned(OTHER, ["s"])


def test_event_of_pruned_step_other_than_submission_is_detected(history: History) -> None:
    history.step(completed(), at=20)
    history.reads_pods(ONE, at=40)
    history.checks.pruned(ONE, ["s"])
    with violation_of("versions"):
        history.step(ev.Replayed(), at=41)
