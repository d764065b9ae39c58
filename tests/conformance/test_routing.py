"""A pod claims only steps of its queues whose task types it knows, and waits beside all others."""

from __future__ import annotations

from typing import Any

import pytest

from fleet_q.core.pod import Join, SendHeartbeat, Sleep
from fleet_q.core.ports import Store, SyncRequest, SyncResult
from fleet_q.core.routing import EVERYWHERE, Routes
from fleet_q.core.step import Submit

from .clock import SECOND, FakeClock
from .helpers import ids, join, known

STEPS = (
    ("default", "resize"),
    ("default", "load"),
    ("gpu", "resize"),
    ("gpu", ""),
    ("it's", 'a "type", with %'),
)


def claimed(store: Store, routes: Routes, limit: int = 9, token: str = "token") -> list[str]:
    return ids(sync(store, routes, limit, token).claimed)


def sync(store: Store, routes: Routes, limit: int = 9, token: str = "token") -> SyncResult:
    return store.sync(SyncRequest("pod", "one", claim=limit, claim_token=token, routes=routes))


def submit_all(store: Store, **options: Any) -> None:
    store.submit(
        [
            Submit(f"s{number}", "{}", queue=queue, task_type=task_type, **options)
            for number, (queue, task_type) in enumerate(STEPS)
        ]
    )


@pytest.mark.parametrize(
    "routes",
    [
        EVERYWHERE,
        Routes(("gpu",)),
        Routes(("default", "gpu")),
        Routes(("unknown",)),
        Routes(()),
        Routes(None, ("resize",)),
        Routes(None, ("load", "resize")),
        Routes(None, ("",)),
        Routes(None, ()),
        Routes(("gpu",), ("resize", "load")),
        Routes(("it's",), ('a "type", with %',)),
        Routes(("its",), ('a "type", with _',)),
    ],
)
def test_pod_claims_the_steps_that_its_routes_serve(store: Store, routes: Routes) -> None:
    """The same rule in Python and in the SQL of each store."""
    join(store)
    submit_all(store)
    served = [f"s{number}" for number, step in enumerate(STEPS) if routes.serve(*step)]
    result = sync(store, routes)
    assert ids(result.claimed) == served
    assert not result.more


def test_steps_of_several_routes_are_claimed_in_claim_order(store: Store, clock: FakeClock) -> None:
    join(store)
    for number, priority in enumerate([0, 5, 1, 5, 0, 9]):
        queue = ("a", "b", "c")[number % 3]
        store.submit([Submit(f"s{number}", "{}", priority, queue=queue, task_type=f"t{number}")])
        clock.advance(1)
    assert claimed(store, Routes(("a", "b")), 3, "first") == ["s1", "s3", "s0"]
    assert claimed(store, EVERYWHERE, 2, "second") == ["s5", "s2"]
    assert claimed(store, EVERYWHERE, 9, "third") == ["s4"]


def test_steps_that_a_pod_may_not_take_are_behind_none_that_it_may(store: Store) -> None:
    join(store)
    store.submit([Submit(f"other{n}", "{}", 9, queue="other", task_type="t") for n in range(30)])
    store.submit([Submit("own", "{}", task_type="t")])
    result = sync(store, Routes(("default",)), 2)
    assert (ids(result.claimed), result.more) == (["own"], False)


def test_claims_are_in_order_whatever_the_steps_before_them_were(store: Store) -> None:
    join(store)
    own = Routes(("own",))
    for number in range(3):
        store.submit([Submit(f"alone{number}", "{}", queue="own")])
        assert claimed(store, own, token=f"alone {number}") == [f"alone{number}"]
        store.submit([Submit(f"other{number}", "{}", 5, queue="another")])
        store.submit([Submit(f"low{number}", "{}", queue="own", key="k")])
        store.submit([Submit(f"high{number}", "{}", 3, queue="own")])
        steps = claimed(store, own, token=f"behind {number}")
        assert steps == [f"high{number}", f"low{number}"]
        assert claimed(store, EVERYWHERE, token=f"other {number}") == [f"other{number}"]


def test_more_is_true_only_if_the_pod_may_take_more(store: Store) -> None:
    join(store)
    store.submit([Submit("last try", "{}", max_retries=0, task_type="t")])
    store.submit([Submit("unknown", "{}", task_type="u")])

    def prefetching(token: str, *task_types: str) -> SyncResult:
        routes = Routes(None, task_types)
        return store.sync(
            SyncRequest("pod", "one", claim=1, claim_token=token, prefetch=1, routes=routes)
        )

    assert prefetching("first", "t").more
    assert not prefetching("second", "x").more


def test_pod_without_a_step_to_take_writes_nothing(store: Store) -> None:
    join(store)
    submit_all(store)
    before = store.change_counter()
    routes = Routes(("gpu",), ("load",))
    request = SyncRequest(
        "pod", "one", SendHeartbeat("pod", "one"), claim=2, claim_token="token",
        only_if_claimable=True, routes=routes,
    )  # fmt: skip
    result = store.sync(request)
    assert (result.claimed, result.done, result.more) == ((), False, False)
    assert store.change_counter() == before


def test_sleeping_pod_wakes_only_for_steps_that_it_may_take(store: Store) -> None:
    join(store)
    store.sync(SyncRequest("pod", "one", Sleep("pod", "one")))

    def wake(token: str, *task_types: str) -> SyncResult:
        return store.sync(
            SyncRequest(
                "pod", "one", SendHeartbeat("pod", "one"), claim=2, claim_token=token,
                only_if_claimable=True, routes=Routes(None, task_types),
            )
        )  # fmt: skip

    store.submit([Submit("step", "{}", task_type="t")])
    assert not wake("first", "u").done
    assert store.pods().pods[0].status == "asleep"
    assert ids(wake("second", "t").claimed) == ["step"]
    assert store.pods().pods[0].status == "up"


def test_next_due_is_that_of_the_steps_that_a_pod_may_take(store: Store, clock: FakeClock) -> None:
    join(store)
    begin = clock()
    store.submit([Submit("early", "{}", delay=2 * SECOND, task_type="t", queue="a")])
    store.submit([Submit("late", "{}", delay=9 * SECOND, task_type="u", queue="b")])

    def due_in(routes: Routes, token: str) -> float | None:
        due = sync(store, routes, token=token).next_due
        return None if due is None else round((due - begin) / SECOND, 1)

    assert due_in(EVERYWHERE, "1") == 2
    assert due_in(Routes(("b",)), "2") == 9
    assert due_in(Routes(None, ("t",)), "3") == 2
    assert due_in(Routes(("a",), ("u",)), "4") is None
    clock.advance(3)
    assert claimed(store, Routes(("b",)), token="5") == []
    assert claimed(store, Routes(("a",)), token="6") == ["early"]


def test_delayed_step_that_no_pod_may_take_waits(store: Store, clock: FakeClock) -> None:
    join(store)
    submit_all(store, delay=SECOND)
    clock.advance(2)
    assert claimed(store, Routes(("gpu",), ("resize",)), token="first") == ["s2"]
    assert claimed(store, Routes(("gpu",), ("resize",)), token="second") == []
    assert known(store, "s3").status == "pending"
    assert claimed(store, Routes(("gpu",)), token="third") == ["s3"]


def test_join_may_claim_only_what_the_pod_may_take(store: Store) -> None:
    submit_all(store)
    request = SyncRequest(
        "pod", "one", Join("pod", "one"), claim=9, claim_token="token", routes=Routes(("gpu",))
    )
    assert ids(store.sync(request).claimed) == ["s2", "s3"]
