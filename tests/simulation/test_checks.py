"""Every check can fail: told of what must not be, it says so."""

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

TURN = StoreCall("sync", (SyncRequest("pod", "i", claim=1, claim_token="x"),))
PREFETCH = StoreCall("sync", (SyncRequest("pod", "i", claim=1, claim_token="x", prefetch=1),))
RECOVER = StoreCall("recover")
DEAD_AFTER = 60
PRUNE_AFTER = 20


class Actors:
    """Who acts, by name; the checks look at nothing else of an actor."""

    def __init__(self, name: str) -> None:
        self.name = name


ONE, OTHER = (cast("Actor", Actors(name)) for name in ("one", "other"))


class Tale:
    """Events told to the checks, each with the row that it makes."""

    def __init__(self) -> None:
        work = {name: Work(step_id=name) for name in ("s", "t", "u", "v")}
        work["late"] = Work(step_id="late", delay=10)
        self.now = 0
        self.checks = SafetyChecks(work, DEAD_AFTER, lambda: self.now, self.silence, PRUNE_AFTER)
        self.steps: dict[str, steps.Step] = {}
        self.pods: dict[str, pods.Pod] = {}
        self.versions: dict[str, int] = {}

    def silence(self, actor: Actor, since: int) -> int:
        """All have been there all the time."""
        return self.now - since

    def step(
        self,
        fact: ev.StepFact,
        *,
        at: int = 10,
        step_id: str = "s",
        by: Actor = ONE,
        call: StoreCall = TURN,
        version: int | None = None,
        row: Callable[[steps.Step], steps.Step] = lambda row: row,
    ) -> None:
        number = self.versions.get(step_id, 0) + 1 if version is None else version
        self.now = at
        event: Any = Event(step_id, number, at, by.name, fact)
        try:
            after = steps.evolve(self.steps.get(step_id), event)
        except Exception:  # what the core itself would not do
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
        call = StoreCall("declare_dead") if isinstance(fact, ev.DeclaredDead) else TURN
        self.checks.committed(by, call, None, [], [(event, after)])

    def heartbeat(
        self, *, of: Actor, at: int = 10, row: Callable[[Pod], Pod] = lambda row: row
    ) -> None:
        self.now = at
        after = self.pods[of.name] = row(replace(self.pods[of.name], last_heartbeat_ts=at))
        self.checks.committed(of, TURN, None, [], [(None, after)])

    def leads(self, who: Actor, at: int) -> None:
        """Somebody reads the pods, and finds out who leads."""
        self.checks.committed(who, StoreCall("pods"), PodList(at, ()), [], [])


@pytest.fixture
def tale() -> Tale:
    """Two pods, and a step that the first of them has claimed."""
    tale = Tale()
    tale.pod(ev.Joined("i"))
    tale.pod(ev.Joined("j"), by=OTHER, of=OTHER)
    tale.step(submitted())
    tale.step(claimed())
    return tale


def submitted(priority: int = 0, max_retries: int = 1, available: int = 10) -> ev.Submitted:
    return ev.Submitted(Raw(b"{}"), priority, max_retries, available)


def claimed(token: str = "x", incarnation: str = "i") -> ev.Claimed:
    return ev.Claimed(token, incarnation)


def completed(token: str = "x", result: str = "x") -> ev.Completed:
    return ev.Completed(token, Raw(f'"{result}"'.encode()))


def retried(token: str = "x", available: int = 10) -> ev.Retried:
    return ev.Retried(token, "Boom", None, available)


def broken(promise: str) -> Any:
    return pytest.raises(Violation, match=f"^{promise}: ")


def test_a_good_tale_is_believed(tale: Tale) -> None:
    tale.step(completed())
    assert tale.checks.unfinished == 0


def test_a_gap_in_the_versions(tale: Tale) -> None:
    with broken("versions"):
        tale.step(completed(), version=4)


def test_a_second_submission(tale: Tale) -> None:
    with broken("versions"):
        tale.step(submitted(), version=1)


def test_a_beginning_that_is_none() -> None:
    tale = Tale()
    tale.steps["s"] = steps.Step("s", "pending", 0, "{}", 0, 1, 0, 0, 0)
    with broken("versions"):
        tale.step(claimed(), version=1)


def test_time_that_runs_backwards(tale: Tale) -> None:
    with broken("order"):
        tale.step(completed(), at=9)


def test_time_may_run_backwards_when_the_clock_was_set(tale: Tale) -> None:
    tale.checks.clock_set_at = 11
    tale.step(completed(), at=9)


def test_two_holders(tale: Tale) -> None:
    with broken("one holder"):
        tale.step(claimed("y", "j"), by=OTHER)


def test_a_claim_before_its_time(tale: Tale) -> None:
    tale.step(submitted(available=20), step_id="late")
    with broken("delays"):
        tale.step(claimed("y"), step_id="late")


def test_a_retry_before_its_time(tale: Tale) -> None:
    tale.step(retried(available=20))
    with broken("delays"):
        tale.step(claimed("y"), at=19)


def test_a_retry_may_be_early_after_the_clock_was_set_back(tale: Tale) -> None:
    tale.step(retried(available=20))
    tale.checks.clock_set_at = 11
    tale.step(claimed("y"), at=9)


def test_a_claim_of_the_dead(tale: Tale) -> None:
    tale.step(submitted(), step_id="t")
    with broken("the dead stay dead"):
        tale.step(claimed("y", "h"), step_id="t")


def test_an_outcome_without_the_token(tale: Tale) -> None:
    with broken("tokens"):
        tale.step(completed("y", "y"))


def test_the_result_of_another_claim(tale: Tale) -> None:
    with broken("tokens"):
        tale.step(completed("x", "y"))


def test_a_second_completion(tale: Tale) -> None:
    tale.step(completed())
    with broken("completed once"):
        tale.step(completed())


def test_a_cancellation_after_the_end(tale: Tale) -> None:
    tale.step(completed())
    with broken("one end"):
        tale.step(ev.Cancelled())


def test_a_replay_of_what_goes_on(tale: Tale) -> None:
    with broken("one end"):
        tale.step(ev.Replayed())


def test_one_try_too_many(tale: Tale) -> None:
    tale.step(retried())
    tale.step(claimed("y"))
    with broken("tries"):
        tale.step(retried("y"))


def test_a_dead_letter_with_tries_left(tale: Tale) -> None:
    with broken("tries"):
        tale.step(ev.Failed("x", "Boom", None))


def test_a_recovery_from_the_living(tale: Tale) -> None:
    tale.leads(ONE, at=10)
    with broken("recovery"):
        tale.step(ev.Recovered("x", "died"), call=RECOVER)


def test_a_recovery_by_another_than_the_leader(tale: Tale) -> None:
    tale.leads(OTHER, at=10)
    with broken("one leader"):
        tale.pod(ev.DeclaredDead("i"), at=100, by=OTHER)


def test_a_death_too_early(tale: Tale) -> None:
    tale.leads(ONE, at=10)
    with broken("recovery"):
        tale.pod(ev.DeclaredDead("j"), at=69, of=OTHER)


def test_a_heartbeat_of_the_dead(tale: Tale) -> None:
    tale.pod(ev.Left("j"), by=OTHER, of=OTHER)
    with broken("the dead stay dead"):
        tale.heartbeat(of=OTHER)


def test_a_heartbeat_of_who_sleeps(tale: Tale) -> None:
    tale.pod(ev.Slept("j"), by=OTHER, of=OTHER)
    with broken("the dead stay dead"):
        tale.heartbeat(of=OTHER)


def test_a_heartbeat_that_the_row_does_not_show(tale: Tale) -> None:
    with broken("tables"):
        tale.heartbeat(of=OTHER, row=lambda row: replace(row, version=2))


def test_a_return_of_the_dead(tale: Tale) -> None:
    tale.pod(ev.Left("j"), by=OTHER, of=OTHER)
    with broken("the dead stay dead"):
        tale.pod(ev.Joined("j"), by=OTHER, of=OTHER)


def test_one_who_sleeps_on_what_it_holds(tale: Tale) -> None:
    with broken("nobody is missed"):
        tale.pod(ev.Slept("i"))


def test_a_row_that_is_not_what_the_log_says(tale: Tale) -> None:
    with broken("tables"):
        tale.step(completed(), row=lambda row: replace(row, retry_count=1))


def test_a_row_with_another_holder(tale: Tale) -> None:
    tale.step(submitted(), step_id="t")
    with broken("tables"):
        tale.step(claimed("y"), step_id="t", row=lambda row: replace(row, claimed_by="other"))


@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 1)])
def test_what_should_have_gone_first(tale: Tale, first: int, second: int) -> None:
    tale.step(completed())
    tale.checks.committed(ONE, TURN, None, [], [])
    tale.step(submitted(priority=second), at=10, step_id="t")
    late: Any = Event("u", 1, 11, None, submitted(priority=first, available=11))
    row = steps.evolve(None, late)
    tale.checks.committed(ONE, TURN, None, [(late, row)], [])
    tale.steps["u"], tale.versions["u"] = row, 1
    with broken("priority"):
        tale.step(claimed("y"), at=12, step_id="u")


def test_step_claimed_ahead_on_its_last_try_is_found(tale: Tale) -> None:
    tale.step(submitted(max_retries=0), step_id="t")
    with broken("last tries"):
        tale.step(claimed("y"), step_id="t", call=PREFETCH)


def test_step_on_its_last_try_may_be_left_by_a_prefetch_alone(tale: Tale) -> None:
    tale.step(submitted(max_retries=0), at=10, step_id="t")
    tale.step(submitted(), at=11, step_id="u")
    tale.step(claimed("y"), at=12, step_id="u", call=PREFETCH)
    tale.step(submitted(), at=13, step_id="v")
    with broken("priority"):
        tale.step(claimed("y"), at=14, step_id="v")


def test_poison_that_takes_too_many_down(tale: Tale) -> None:
    tale.checks.crashed_by("s")
    tale.checks.crashed_by("s")
    with broken("poison"):
        tale.checks.crashed_by("s")


def test_a_function_that_begins_under_a_claim_that_had_ended_when_it_was_asked_for(
    tale: Tale,
) -> None:
    tale.checks.begins("s", "x", asked_at=10)
    tale.step(retried(), at=20)
    tale.checks.begins("s", "x", asked_at=20)
    with broken("what begins is claimed"):
        tale.checks.begins("s", "x", asked_at=21)


def test_pruning_what_ended_long_ago_is_allowed_and_frees_its_id(tale: Tale) -> None:
    tale.step(completed(), at=20)
    tale.pod(ev.Left("j"), at=20, by=OTHER, of=OTHER)
    tale.leads(ONE, at=40)
    tale.checks.pruned(ONE, ["s", "other"])
    del tale.steps["s"], tale.versions["s"], tale.pods["other"], tale.versions["other"]
    tale.step(submitted(), at=41)
    tale.pod(ev.Joined("k"), at=41, by=OTHER, of=OTHER)


def test_pruning_a_step_that_has_not_ended_is_found(tale: Tale) -> None:
    tale.leads(ONE, at=60)
    with broken("pruning"):
        tale.checks.pruned(ONE, ["s"])


def test_pruning_a_step_too_early_is_found(tale: Tale) -> None:
    tale.step(completed(), at=20)
    tale.leads(ONE, at=39)
    with broken("pruning"):
        tale.checks.pruned(ONE, ["s"])


def test_pruning_a_pod_that_is_up_is_found(tale: Tale) -> None:
    tale.leads(ONE, at=30)
    with broken("pruning"):
        tale.checks.pruned(ONE, ["other"])


def test_pruning_a_pod_too_early_is_found(tale: Tale) -> None:
    tale.pod(ev.Left("j"), by=OTHER, of=OTHER)
    tale.leads(ONE, at=29)
    with broken("pruning"):
        tale.checks.pruned(ONE, ["other"])


def test_pruning_by_a_pod_that_never_led_is_found(tale: Tale) -> None:
    tale.step(completed(), at=20)
    tale.leads(OTHER, at=40)
    with broken("one leader"):
        tale.checks.pruned(OTHER, ["s"])


def test_event_of_a_pruned_step_other_than_a_submission_is_found(tale: Tale) -> None:
    tale.step(completed(), at=20)
    tale.leads(ONE, at=40)
    tale.checks.pruned(ONE, ["s"])
    with broken("versions"):
        tale.step(ev.Replayed(), at=41)
