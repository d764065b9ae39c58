"""Steps that wait for others: when they are ready, what falls with a parent, what comes back."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from fleet_q.core.dependencies import Dependency, Kind, parents_json
from fleet_q.core.errors import (
    InvalidInput,
    ParentNotReplayed,
    StepConflict,
    UniqueKeyTaken,
    UnknownStep,
)
from fleet_q.core.lifecycle import FINAL, StepStatus
from fleet_q.core.ports import Store, SyncRequest
from fleet_q.core.pruning import PruneStats, prune_cycle
from fleet_q.core.step import Cancel, Complete, Fail, Recover, Replay, Submit

from .clock import SECOND, FakeClock
from .helpers import acknowledge, assert_sound, call_by_call, claim, facts, join, known, snapshot_of
from .stores import StoreKind


@pytest.fixture(autouse=True)
def _is_sound(store: Store) -> Iterator[None]:
    yield
    assert_sound(store)


def step(step_id: str, *parents: str, kind: Kind = "success", **options: object) -> Submit:
    after = dict.fromkeys(parents, kind)
    return Submit(
        step_id,
        "{}",
        parents=parents_json(after) if parents else None,
        **options,  # type: ignore[arg-type]
    )


def run(store: Store, **ends: str) -> list[str]:
    """Claim all steps that are due and end them: those named by ``ends`` as it says, others with
    success. Returns the ids of the claimed steps."""
    join(store)
    token = f"run {len(list(store.step_events()))}"
    claimed = claim(store, 100, token)
    outcomes = [
        Fail(step_id, token, "Boom", permanent=ends[step_id] == "fail")
        if step_id in ends
        else Complete(step_id, token, f'"{step_id}"')
        for step_id in claimed
    ]
    acknowledge(store, *outcomes)
    return claimed


def statuses(store: Store, step_ids: str) -> list[str]:
    return [known(store, step_id).status for step_id in step_ids]


def test_step_waits_until_its_last_parent_is_completed(store: Store) -> None:
    store.submit([step("c", "a", "b"), step("a"), step("b")])
    assert known(store, "c").status == "waiting"
    assert run(store, b="retry") == ["a", "b"]
    assert known(store, "c").status == "waiting"
    assert run(store) == ["b"]
    assert known(store, "c").status == "pending"
    assert facts(store, "c") == ["submitted", "ready"]
    assert run(store) == ["c"]


def test_ready_event_is_in_the_transaction_that_ended_the_last_parent(
    store: Store, clock: FakeClock
) -> None:
    store.submit([step("a"), step("b", "a")])
    join(store)
    claim(store, token="t")
    clock.advance(3)
    acknowledge(store, Complete("a", "t", "1"))
    end, ready = store.history("a")[-1], store.history("b")[-1]
    assert (ready.fact.type, ready.at, ready.pod_id) == ("ready", end.at, "pod")


def test_step_after_parents_that_have_ended_is_ready_at_once(store: Store) -> None:
    store.submit([step("a"), step("b")])
    run(store, b="fail")
    store.submit([step("c", "a"), step("d", "b", kind="finished")])
    assert statuses(store, "cd") == ["pending", "pending"]
    assert facts(store, "c") == ["submitted", "ready"]


def test_delay_of_a_step_counts_from_its_submission(store: Store, clock: FakeClock) -> None:
    store.submit([step("a"), step("b", "a", delay=10 * SECOND)])
    run(store)
    assert run(store) == []
    clock.advance(11)
    assert run(store) == ["b"]


def test_delayed_step_that_is_ready_after_its_delay_is_claimed(
    store: Store, clock: FakeClock
) -> None:
    store.submit([step("a"), step("b", "a", delay=10 * SECOND)])
    clock.advance(11)
    run(store)
    assert run(store) == ["b"]


def test_children_fall_with_a_failed_parent_level_by_level(store: Store) -> None:
    store.submit([step("a"), step("b", "a"), step("c", "b"), step("d", "b", kind="finished")])
    run(store, a="fail")
    assert statuses(store, "abcd") == ["failed", "cancelled", "cancelled", "pending"]
    assert known(store, "b").error == "parent a failed"
    assert known(store, "c").error == "parent b was cancelled"
    assert run(store) == ["d"]


def test_step_of_several_lost_parents_names_the_first_that_failed(store: Store) -> None:
    store.submit([step("a"), step("b"), step("c"), step("d", "a", "b", "c")])
    join(store)
    claim(store, 3, "t")
    acknowledge(
        store,
        Fail("c", "t", "Boom", permanent=True),
        Complete("a", "t", "1"),
        Fail("b", "t", "Boom", permanent=True),
    )
    assert known(store, "d").error == "parent b failed"


def test_step_falls_at_once_after_a_parent_that_has_failed(store: Store) -> None:
    store.submit([step("a")])
    run(store, a="fail")
    store.submit([step("c", "b"), step("b", "a")])
    assert statuses(store, "bc") == ["cancelled", "cancelled"]
    store.replay(["a"])
    assert statuses(store, "bc") == ["waiting", "waiting"]


def test_cancelled_parent_cancels_its_children(store: Store) -> None:
    store.submit([step("a"), step("b", "a"), step("c", "b"), step("d", "c", kind="finished")])
    store.cancel("b")
    assert statuses(store, "abcd") == ["pending", "cancelled", "cancelled", "pending"]
    assert (known(store, "b").error, known(store, "c").error) == (None, "parent b was cancelled")


def test_bulk_cancel_of_parents_and_children_cancels_each_once(store: Store) -> None:
    store.submit([step("a"), step("b", "a"), step("c", "b")])
    assert store.change_allowed([Cancel("a"), Cancel("b")]) == ["a", "b"]
    assert statuses(store, "abc") == ["cancelled"] * 3
    assert facts(store, "b") == ["submitted", "cancelled"]
    store.replay(["a"])
    assert statuses(store, "abc") == ["pending", "cancelled", "cancelled"]


def test_children_fall_with_a_step_that_a_leader_fails(store: Store) -> None:
    store.submit([step("a", max_retries=0), step("b", "a")])
    join(store)
    claim(store, token="t")
    join(store, incarnation="two")
    store.recover([Recover("a", "t")], "leader")
    assert statuses(store, "ab") == ["failed", "cancelled"]
    assert store.history("b")[-1].pod_id == "leader"


def test_replay_of_a_parent_brings_back_what_fell_with_it(store: Store) -> None:
    store.submit([step("a"), step("b", "a"), step("c", "b", "a"), step("d", "c")])
    run(store, a="fail")
    assert statuses(store, "abcd") == ["failed", "cancelled", "cancelled", "cancelled"]
    assert [replayed.step_id for replayed in store.replay(["a"])] == ["a"]
    assert statuses(store, "abcd") == ["pending", "waiting", "waiting", "waiting"]
    assert known(store, "b").error is None
    assert [run(store) for _ in range(4)] == [["a"], ["b"], ["c"], ["d"]]


def test_step_of_two_failed_parents_comes_back_with_the_second_replay(store: Store) -> None:
    store.submit([step("a"), step("b"), step("c", "a", "b"), step("d", "c")])
    run(store, a="fail", b="fail")
    store.replay(["a"])
    assert statuses(store, "cd") == ["cancelled", "cancelled"]
    store.replay(["b"])
    assert statuses(store, "cd") == ["waiting", "waiting"]


def test_step_comes_back_without_one_whose_end_alone_it_needs(store: Store) -> None:
    kinds: dict[str, Kind] = {"a": "success", "c": "finished"}
    store.submit([step("a"), step("b"), step("c", "a", "b")])
    store.submit([Submit("d", "{}", parents=parents_json(kinds))])
    run(store, a="fail", b="fail")
    assert statuses(store, "cd") == ["cancelled", "cancelled"]
    store.replay(["a"])
    assert statuses(store, "abcd") == ["pending", "failed", "cancelled", "waiting"]
    assert [run(store), run(store)] == [["a"], ["d"]]


def test_restored_step_waits_for_a_new_one_under_the_id_of_a_pruned_parent(
    store: Store, clock: FakeClock
) -> None:
    store.submit([step("a"), step("b", delay=SECOND), step("c", "a", "b")])
    run(store, a="fail")
    clock.advance(SECOND)
    prune(store, ["failed"])
    assert store.step("a") is None
    store.replay(["c"])
    store.submit([step("d"), step("a", delay=SECOND)])
    assert run(store) == ["b", "d"]
    assert known(store, "c").status == "waiting"
    clock.advance(SECOND)
    assert [run(store), run(store)] == [["a"], ["c"]]


def test_replay_of_two_failed_parents_at_once_brings_back_their_child(store: Store) -> None:
    store.submit([step("a"), step("b"), step("c", "a", "b")])
    run(store, a="fail", b="fail")
    store.replay(["a", "b"])
    assert statuses(store, "abc") == ["pending", "pending", "waiting"]


def test_replay_of_a_fallen_step_names_the_parent_that_failed(store: Store) -> None:
    store.submit([step("a"), step("b", "a")])
    run(store, a="fail")
    before = snapshot_of(store)
    with pytest.raises(ParentNotReplayed, match="'b' cannot be replayed: its parent 'a' is failed"):
        store.replay(["b"])
    assert store.change_allowed([Replay("b")]) == []
    assert snapshot_of(store) == before


def test_parents_and_children_may_be_replayed_together(store: Store) -> None:
    store.submit([step("a"), step("b", "a"), step("c", "b")])
    run(store, a="fail")
    assert store.change_allowed([Replay("c"), Replay("b"), Replay("a")]) == ["c", "b", "a"]
    assert statuses(store, "abc") == ["pending", "waiting", "waiting"]
    assert facts(store, "c") == ["submitted", "cancelled", "restored"]
    assert [run(store) for _ in range(3)] == [["a"], ["b"], ["c"]]


def test_step_that_was_cancelled_by_hand_stays_so(store: Store) -> None:
    store.submit([step("a"), step("b", "a")])
    store.cancel("b")
    run(store, a="fail")
    store.replay(["a"])
    assert known(store, "b").status == "cancelled"
    store.replay(["b"])
    assert statuses(store, "ab") == ["pending", "waiting"]
    assert [run(store), run(store)] == [["a"], ["b"]]


def test_replay_of_a_step_whose_parents_have_ended_makes_it_pending(store: Store) -> None:
    store.submit([step("a"), step("b", "a")])
    run(store)
    run(store, b="fail")
    store.replay(["b"])
    assert facts(store, "b")[-1] == "replayed"
    assert run(store) == ["b"]


def test_failed_step_waits_for_a_parent_that_is_replayed_with_it(store: Store) -> None:
    store.submit([step("a"), step("b", "a", kind="finished")])
    run(store, a="fail")
    run(store, b="fail")
    store.replay(["a", "b"])
    assert statuses(store, "ab") == ["pending", "waiting"]
    assert [run(store), run(store)] == [["a"], ["b"]]


@pytest.mark.parametrize("unique", [True, False], ids=["unique", "by its own id"])
def test_unknown_parent_is_refused_and_nothing_is_stored(store: Store, unique: bool) -> None:
    before = snapshot_of(store)
    with pytest.raises(UnknownStep, match="no step has the id 'none'"):
        store.submit([step("a", unique=unique), step("b", "a", "none", unique=unique)])
    assert snapshot_of(store) == before


@pytest.mark.parametrize("circle", [["a a"], ["a b", "b a"], ["x", "a x c", "b a", "c b"]])
def test_circle_is_refused_and_nothing_is_stored(store: Store, circle: list[str]) -> None:
    before = snapshot_of(store)
    with pytest.raises(InvalidInput, match="step 'a' would wait for itself"):
        store.submit([step(*line.split()) for line in circle])
    assert snapshot_of(store) == before


def test_repeated_submission_changes_nothing(store: Store) -> None:
    new = [step("a"), step("b", "a")]
    store.submit(new)
    run(store)
    before = snapshot_of(store)
    assert [result.is_new for result in store.submit(new)] == [False, False]
    assert snapshot_of(store) == before


@pytest.mark.parametrize("others", [{}, {"b": "success"}, {"a": "finished"}])
def test_same_id_with_other_parents_is_a_conflict(store: Store, others: dict[str, Kind]) -> None:
    store.submit([step("a"), step("b"), step("c", "a")])
    store.submit([step("plain")])
    before = snapshot_of(store)
    with pytest.raises(StepConflict, match="'c' already exists with a different after"):
        store.submit([Submit("c", "{}", parents=parents_json(others) if others else None)])
    with pytest.raises(StepConflict, match="'plain' already exists with a different after"):
        store.submit([step("plain", "a")])
    with pytest.raises(StepConflict, match="'new' already exists with a different after"):
        store.submit([step("new", "a"), step("new", "b")])
    assert snapshot_of(store) == before


def test_submission_that_replaces_must_not_have_other_parents(store: Store) -> None:
    def replacing(n: int, *parents: str) -> Submit:
        own: dict[str, Any] = {"unique": True, "unique_key": "k", "on_conflict": "replace"}
        return replace(step(f"step {n}", *parents, **own), payload=f'{{"n":{n}}}')

    store.submit([step("a"), step("b"), replacing(1, "a")])
    run(store)
    assert known(store, "step 1").status == "pending"
    for new in ([replacing(2, "b")], [replacing(3, "a"), replacing(4, "b")]):
        with pytest.raises(UniqueKeyTaken, match=r"'step [13]' has the unique key 'k' and"):
            store.submit(new)
    with pytest.raises(UniqueKeyTaken, match="cannot be replaced; cancel it first"):
        store.submit([replace(new, unique_key="new") for new in (replacing(5), replacing(6, "b"))])
    for allowed in (replacing(7, "a"), replacing(8)):
        store.submit([allowed])
        assert known(store, "step 1").payload == allowed.payload


def test_parent_with_a_unique_key_may_be_submitted_again_with_its_child(store: Store) -> None:
    store.submit([Submit("first", "{}", unique_key="k")])
    for _ in range(2):
        store.submit([Submit("second", "{}", unique_key="k"), step("c", "second")])
    assert known(store, "c").parents == parents_json({"first": "success"})


def test_child_waits_for_the_step_that_stands_for_its_parent(store: Store) -> None:
    store.submit([Submit("first", "{}", unique_key="k")])
    store.submit([Submit("second", "{}", unique=True, unique_key="k"), step("c", "second")])
    assert known(store, "c").parents == parents_json({"first": "success"})
    assert [run(store), run(store)] == [["first"], ["c"]]


def test_waiting_step_keeps_its_unique_key(store: Store) -> None:
    store.submit([step("a"), step("b", "a", unique_key="k")])
    (result,) = store.submit([Submit("c", "{}", unique_key="k", on_conflict="replace")])
    assert (result.step_id, result.is_new) == ("b", False)
    assert known(store, "b").version == 1


def test_waiting_steps_are_counted_and_are_no_backlog(store: Store) -> None:
    store.submit([step("a"), step("b", "a"), step("c", "a")])
    assert (store.counts()["waiting"], store.counts()["pending"]) == (2, 1)
    assert (store.backlog().pending, store.backlog().claimable) == (1, 1)


def test_parents_of_a_step_have_their_results(store: Store) -> None:
    store.submit([step("a"), step("b"), step("c", "b", "a")])
    run(store)
    parents = store.parents("c")
    assert parents is not None
    assert [(parent.step_id, parent.result) for parent in parents] == [("b", '"b"'), ("a", '"a"')]
    assert store.parents("a") == []
    assert store.parents("none") is None


def prune(store: Store, statuses: Collection[StepStatus] = FINAL) -> int:
    stats = PruneStats()
    program = prune_cycle(older_than=0, prune_batch=10, stats=stats, statuses=statuses)
    for _ in call_by_call(store, program):
        pass
    return stats.steps


def test_parents_are_kept_until_their_children_have_ended(store: Store) -> None:
    store.submit([step("a"), step("b"), step("c", "a", "b")])
    run(store, b="retry")
    assert prune(store) == 0
    run(store)
    assert prune(store) == 0, "c is pending"
    run(store)
    assert prune(store) == 3


def test_parent_that_ended_long_ago_is_pruned_once_its_child_has(store: Store) -> None:
    store.submit([step("a"), step("b", "a")])
    run(store)
    claimed = SyncRequest("pod", "one", claim=1, claim_token="late")
    (child,) = store.sync(claimed).claimed
    page = store.final_steps(["completed"], store.pods().at, 10)
    assert page.steps == ()
    acknowledge(store, Complete(child.step_id, "late", "1"))
    assert prune(store) == 2


def test_fallen_step_whose_parent_was_pruned_may_be_replayed(store: Store) -> None:
    store.submit([step("a")])
    run(store, a="fail")
    store.submit([step("b", "a"), step("c", "b")])
    (final,) = (f for f in store.final_steps(["failed"], store.pods().at, 10).steps)
    assert store.prune([final], store.pods().at).streams == 1
    store.replay(["b"])
    assert statuses(store, "bc") == ["pending", "waiting"]


def test_fan_in_and_chain_of_many_steps_run(store: Store) -> None:
    parents = [f"p{number}" for number in range(50)]
    chain = [step("c0", *parents), *(step(f"c{n}", f"c{n - 1}") for n in range(1, 6))]
    store.submit([*reversed(chain), *map(step, parents)])
    assert sorted(run(store)) == sorted(parents)
    assert [run(store) for _ in range(7)] == [[f"c{n}"] for n in range(6)] + [[]]


def test_step_waits_again_for_a_finished_parent_that_is_replayed(store: Store) -> None:
    store.submit(
        [step("a"), step("b"), Submit("c", "{}", parents='{"a":"finished","b":"success"}')]
    )
    run(store, a="fail", b="retry")
    store.replay(["a"])
    run(store, a="retry")
    assert statuses(store, "abc") == ["pending", "completed", "waiting"]
    run(store)
    assert run(store) == ["c"]


def test_step_that_comes_back_waits_for_a_finished_parent_that_was_replayed(store: Store) -> None:
    store.submit(
        [step("a"), step("b"), Submit("c", "{}", parents='{"a":"finished","b":"success"}')]
    )
    run(store, a="fail", b="fail")
    store.replay(["a"])
    store.replay(["b"])
    assert run(store, a="retry") == ["a", "b"]
    assert statuses(store, "abc") == ["pending", "completed", "waiting"]
    assert [run(store), run(store)] == [["a"], ["c"]]


def test_rebuild_corrects_the_dependencies_of_waiting_steps(store: Store, kind: StoreKind) -> None:
    if not kind.keeps_dependencies:
        pytest.skip(f"{kind.name} keeps no dependencies")
    store.submit([step("a"), step("b"), step("c", "a", "b"), step("d", "c")])
    with store._database.write() as tx:  # type: ignore[attr-defined]
        tx.delete_dependencies([Dependency("a", "c", "success")])
        tx.write_dependencies([Dependency("b", "d", "success")])
    assert store.rebuild(check=True).differing_waits == ("c", "d")
    assert store.rebuild().differing_waits == ("c", "d")
    assert store.rebuild(check=True).equal
    assert [run(store) for _ in range(3)] == [["a", "b"], ["c"], ["d"]]


def test_rebuild_gives_dependencies_to_waiting_steps_whose_rows_it_corrects(
    store: Store, kind: StoreKind
) -> None:
    if not kind.keeps_dependencies:
        pytest.skip(f"{kind.name} keeps no dependencies")
    store.submit([step("a"), step("b", "a"), step("c", "a")])
    pending = [replace(known(store, step_id), status="pending") for step_id in "bc"]
    with store._database.write() as tx:  # type: ignore[attr-defined]
        tx.replace_steps(["b", "c"], pending)
        tx.delete_dependencies_of(["b", "c"])
    report = store.rebuild()
    assert (report.differing_steps, report.differing_waits) == (("b", "c"), ("b", "c"))
    assert store.rebuild(check=True).equal
    assert [run(store), run(store)] == [["a"], ["b", "c"]]


def test_sync_says_that_its_outcomes_have_made_others_pending(store: Store) -> None:
    store.submit([step("a"), step("b"), step("c", "a", "b")])
    join(store)
    claim(store, 2, token="t")
    assert not acknowledge(store, Complete("a", "t", "1")).ready
    assert acknowledge(store, Complete("b", "t", "1")).ready
    assert run(store) == ["c"]
