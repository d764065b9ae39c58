"""Children: steps that are stored with the completion of the step that spawned them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from fleet_q.core.dependencies import Kind, parents_json, parents_of
from fleet_q.core.ports import Store, SyncRequest
from fleet_q.core.step import Cancel, Complete, Fail, Replay, Submit

from .clock import SECOND
from .helpers import (
    acknowledge,
    assert_sound,
    claim,
    facts,
    held_step,
    ids,
    join,
    known,
    recover_all,
    snapshot_of,
    submit,
)

REFUSED = "its children cannot be stored: "


@pytest.fixture(autouse=True)
def _is_sound(store: Store) -> Iterator[None]:
    yield
    assert_sound(store)


def child(step_id: str, *parents: str, kind: Kind = "success", **options: object) -> Submit:
    after = parents_json(dict.fromkeys(parents, kind)) if parents else None
    options = {"unique": True, "spawned_by": "p", **options}
    return Submit(step_id, "{}", parents=after, **options)  # type: ignore[arg-type]


def complete(
    store: Store, *children: Submit, detached: tuple[str, ...] = (), token: str = "token"
) -> tuple[str, ...]:
    """Complete the step ``p``; returns the ids of refused outcomes."""
    outcome = Complete("p", token, "1", children, detached)
    return acknowledge(store, outcome).refused


def run_all(store: Store) -> list[list[str]]:
    """Claim and complete what is due until nothing is; returns the ids of each claim."""
    levels: list[list[str]] = []
    while True:
        token = f"level {len(levels)}"
        claimed = claim(store, 100, token)
        if not claimed:
            return levels
        levels.append(sorted(claimed))
        acknowledge(store, *(Complete(step_id, token, "1") for step_id in claimed))


def exists(store: Store, *step_ids: str) -> list[bool]:
    return [store.step(step_id) is not None for step_id in step_ids]


def test_children_are_stored_by_the_transaction_that_completes_the_step(store: Store) -> None:
    held_step(store, "p")
    assert complete(store, child("a", workflow_id="w", priority=3), child("b")) == ()
    end = store.history("p")[-1]
    (submitted,) = store.history("a")
    assert (submitted.at, submitted.pod_id) == (end.at, "pod")
    step = known(store, "a")
    assert (step.status, step.spawned_by, step.workflow_id) == ("pending", "p", "w")
    assert facts(store, "p") == ["submitted", "claimed", "completed"]
    assert run_all(store) == [["a", "b"]]


def test_sync_says_that_its_outcomes_have_stored_children(store: Store) -> None:
    held_step(store, "p")
    assert acknowledge(store, Complete("p", "token", "1", (child("c"),))).ready
    assert run_all(store) == [["c"]]


def test_repeated_completion_stores_no_children_again(store: Store) -> None:
    held_step(store, "p")
    complete(store, child("a"))
    before = snapshot_of(store)
    request = SyncRequest("pod", "one", outcomes=(Complete("p", "token", "1", (child("b"),)),))
    assert store.sync(replace(request, is_retry=True)).refused == ()
    assert snapshot_of(store) == before


def test_late_completion_stores_no_children(store: Store) -> None:
    held_step(store, "p")
    join(store, incarnation="two")
    recover_all(store)
    assert claim(store, token="later", incarnation="two") == ["p"]
    assert complete(store, child("a")) == ("p",)
    assert complete(store, child("b"), token="later") == ()
    assert exists(store, "a", "b") == [False, True]


def test_failed_attempt_leaves_no_children_and_the_next_one_stores_its_own(store: Store) -> None:
    held_step(store, "p")
    acknowledge(store, Fail("p", "token", "Boom"))
    assert claim(store, token="second") == ["p"]
    complete(store, child("a"), token="second")
    assert store.counts()["pending"] == 1


def test_children_are_stored_with_other_outcomes_of_one_sync(store: Store) -> None:
    held_step(store, "p")
    submit(store, "q", "r", "s")
    claim(store, 3, "t")
    outcomes = (
        Complete("q", "t", "1"),
        Complete("p", "token", "1", (child("a"),)),
        Complete("r", "t", "1", (replace(child("b"), spawned_by="r"),)),
        Fail("s", "t", "Boom", permanent=True),
        Complete("unknown", "t", "1", (child("c"),)),
    )
    result = store.sync(SyncRequest("pod", "one", outcomes=outcomes, claim=10, claim_token="u"))
    assert result.refused == ("unknown",)
    assert exists(store, "a", "b", "c") == [True, True, False]
    statuses = [known(store, step_id).status for step_id in "pqrs"]
    assert statuses == ["completed"] * 3 + ["failed"]


def test_dependents_wait_for_children_and_for_the_children_of_these(store: Store) -> None:
    join(store)
    store.submit([child("d", "p"), child("e", "d"), Submit("p", "{}")])
    assert claim(store, token="token") == ["p"]
    complete(store, child("a"), child("b"))
    assert facts(store, "d") == ["submitted", "parents_added"]
    assert list(parents_of(known(store, "d").parents)) == ["p", "a", "b"]
    assert claim(store, 1, "t") == ["a"]
    acknowledge(store, Complete("a", "t", "1", (child("c"),)))
    assert list(parents_of(known(store, "d").parents)) == ["p", "a", "b", "c"]
    assert run_all(store) == [["b", "c"], ["d"], ["e"]]
    parents = store.parents("d")
    assert parents is not None
    assert ids(parents) == ["p", "a", "b", "c"]


def test_dependents_do_not_wait_for_detached_children(store: Store) -> None:
    join(store)
    store.submit([child("d", "p"), Submit("p", "{}")])
    claim(store, token="token")
    complete(store, child("a"), child("b"), detached=("b",))
    assert list(parents_of(known(store, "d").parents)) == ["p", "a"]


def test_children_may_wait_for_each_other_and_for_existing_steps(store: Store) -> None:
    join(store)
    store.submit([child("d", "p"), Submit("p", "{}"), Submit("x", "{}", delay=10**9)])
    claim(store, token="token")
    complete(store, child("c", "b", "x"), child("b", "a"), child("a"), child("e", "p", "a"))
    assert run_all(store) == [["a"], ["b", "e"]]
    store.cancel("x")
    assert known(store, "c").error == "parent x was cancelled"
    assert known(store, "d").error == "parent c was cancelled"


def test_child_falls_at_once_after_a_parent_that_has_failed(store: Store) -> None:
    held_step(store, "x")
    acknowledge(store, Fail("x", "token", "Boom", permanent=True))
    store.submit([child("d", "p"), child("f", "p", kind="finished"), Submit("p", "{}")])
    claim(store, token="token")
    complete(store, child("a", "x"))
    assert known(store, "a").error == "parent x failed"
    assert known(store, "d").error == "parent a was cancelled"
    assert run_all(store) == [["f"]]


def test_dependent_falls_with_a_child_and_comes_back_with_its_replay(store: Store) -> None:
    join(store)
    store.submit([child("d", "p"), Submit("p", "{}")])
    claim(store, token="token")
    complete(store, child("a"))
    store.change_allowed([Cancel("a")])
    assert known(store, "d").error == "parent a was cancelled"
    store.change_allowed([Replay("a")])
    assert known(store, "d").status == "waiting"
    assert run_all(store) == [["a"], ["d"]]


def assert_refused(store: Store, reason: str, *absent: str) -> None:
    step = known(store, "p")
    assert (step.status, step.error) == ("failed", REFUSED + reason)
    assert exists(store, *absent) == [False] * len(absent)


def test_unknown_parent_of_a_child_fails_the_step(store: Store) -> None:
    held_step(store, "p")
    submit(store, "q")
    claim(store, token="t")
    outcomes = (
        Complete("p", "token", "1", (child("a"), child("b", "nobody"))),
        Complete("q", "t", "1", (child("c"),)),
    )
    assert acknowledge(store, *outcomes).refused == ()
    assert_refused(store, "no step has the id 'nobody'", "a", "b")
    assert exists(store, "c") == [True]


def test_id_of_another_step_fails_the_step(store: Store) -> None:
    held_step(store, "p")
    submit(store, "a", "b")
    complete(store, replace(child("a", unique=False), payload='{"n":1}'), child("c"))
    assert_refused(
        store, "step 'a' already exists with a different payload; use another step_id", "c"
    )


def test_child_that_exists_already_is_not_stored_again(store: Store) -> None:
    join(store)
    store.submit([child("d", "p"), Submit("p", "{}")])
    claim(store, token="token")
    submit(store, "a")
    complete(store, child("a", unique=False))
    assert facts(store, "a") == ["submitted"]
    assert run_all(store) == [["a"], ["d"]]


def test_step_with_the_unique_key_of_a_child_stands_for_it(store: Store) -> None:
    join(store)
    store.submit([child("d", "p"), Submit("p", "{}")])
    claim(store, token="token")
    submit(store, "owner", unique_key="k")
    complete(store, child("a", unique_key="k"), child("b", "a"))
    assert exists(store, "a") == [False]
    assert list(parents_of(known(store, "d").parents)) == ["p", "owner", "b"]
    assert run_all(store) == [["owner"], ["b"], ["d"]]


def test_child_replaces_the_pending_step_with_its_unique_key(store: Store) -> None:
    held_step(store, "p")
    submit(store, "owner", unique_key="k")
    new = replace(child("a", unique_key="k", on_conflict="replace"), payload='{"n":1}')
    complete(store, new)
    assert exists(store, "a") == [False]
    assert known(store, "owner").payload == '{"n":1}'


def test_unique_key_that_is_taken_fails_the_step_if_the_child_says_so(store: Store) -> None:
    held_step(store, "p")
    submit(store, "owner", unique_key="k")
    complete(store, child("a", unique_key="k", on_conflict="error"), child("b"))
    assert_refused(store, "step 'owner' has the unique key 'k'", "a", "b")


def test_spawner_whose_unique_key_holds_longer_stands_for_its_child(store: Store) -> None:
    held_step(store, "p", unique_key="k", unique_for=3_600 * SECOND)
    assert complete(store, child("a", unique_key="k")) == ()
    assert (known(store, "p").status, exists(store, "a")) == ("completed", [False])


def test_child_may_have_the_unique_key_of_its_spawner(store: Store) -> None:
    held_step(store, "p", unique_key="k")
    complete(store, child("a", unique_key="k", on_conflict="error"))
    assert known(store, "a").status == "pending"


@pytest.mark.parametrize("through", ["d", "e"])
def test_child_that_would_wait_for_what_waits_for_it_fails_the_step(
    store: Store, through: str
) -> None:
    join(store)
    store.submit([child("d", "p"), child("e", "d", kind="finished"), Submit("p", "{}")])
    claim(store, token="token")
    complete(store, child("b", through), child("a", "b"), detached=("b",))
    reason = "they wait for a step that waits for step 'p', and so for them; spawn them detached"
    assert_refused(store, reason, "a", "b")
    assert known(store, "d").error == "parent p failed"


def test_detached_child_may_wait_for_what_waits_for_the_step(store: Store) -> None:
    join(store)
    store.submit([child("d", "p"), Submit("p", "{}")])
    claim(store, token="token")
    complete(store, child("a", "d"), detached=("a",))
    assert run_all(store) == [["d"], ["a"]]


def test_fan_out_of_many_children_ends_in_one_step(store: Store) -> None:
    join(store)
    store.submit([child("d", "p"), Submit("p", "{}")])
    claim(store, token="token")
    names = [f"c{number:03}" for number in range(150)]
    complete(store, *map(child, names))
    assert run_all(store) == [names[:100], names[100:], ["d"]]
