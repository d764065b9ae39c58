"""A cancel or replay whose answer is lost is done once, and answered as done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import pytest

from fleet_q.adapters.snowflake.session import Rows
from fleet_q.adapters.snowflake.store import SnowflakeStore
from fleet_q.core.errors import IllegalTransition, StoreUnavailable
from fleet_q.core.pod import Join
from fleet_q.core.ports import SyncRequest
from fleet_q.core.step import Cancel, Complete, Fail, Submit
from tests.standin.client import Schema

pytestmark = pytest.mark.slow


@pytest.fixture
def schema(tables: Schema) -> Schema:
    return tables


@pytest.fixture
def stores(schema: Schema) -> Iterator[tuple[SnowflakeStore, SnowflakeStore]]:
    """Two stores in one schema: of a client, whose reads never see the last commit of another
    session, and of a pod. The step ``failed`` has failed, and ``waits`` is pending."""
    client, pod = SnowflakeStore(schema.parameters), SnowflakeStore(schema.parameters)
    pod.submit([Submit("failed", "{}"), Submit("waits", "{}", priority=-1)])
    pod.sync(SyncRequest("pod", "one", Join("pod", "one"), claim=1, claim_token="t"))
    failure = Fail("failed", "t", "Boom", permanent=True)
    pod.sync(SyncRequest("pod", "one", outcomes=(failure,)))
    yield client, pod
    schema.no_faults()
    assert client.rebuild(check=True).equal
    for store in (client, pod):
        store.close()


def losing_an_answer(store: SnowflakeStore, then: Callable[[], object] = lambda: None) -> Any:
    """Lose the answer of the first call of ``store`` and its session, and call ``then``."""
    call = store.session.call
    is_first = True

    def losing(name: str, **values: Any) -> Rows:
        nonlocal is_first
        rows = call(name, **values)
        if is_first:
            is_first = False
            store.session.close()
            then()
            raise StoreUnavailable("the answer is lost")
        return rows

    return patch.object(store.session, "call", losing)


def types(store: SnowflakeStore, step_id: str) -> list[str]:
    return [event.fact.type for event in store.history(step_id)]


def run_by_the_pod(pod: SnowflakeStore) -> None:
    request = SyncRequest("pod", "one", claim=1, claim_token="u")
    (step,) = pod.sync(request).claimed
    pod.sync(SyncRequest("pod", "one", outcomes=(Complete(step.step_id, "u", "1"),)))


@pytest.mark.parametrize("stale_table", ["", "step_events"])
def test_replay_whose_answer_is_lost_is_answered_as_done_while_reads_are_stale(
    schema: Schema, stores: tuple[SnowflakeStore, SnowflakeStore], stale_table: str
) -> None:
    client, _ = stores
    schema.fault("stale", times=None, table=stale_table)
    with losing_an_answer(client):
        (step,) = client.replay(["failed"])
    assert step.status == "pending"
    schema.no_faults()
    assert types(client, "failed") == ["submitted", "claimed", "failed", "replayed"]


def test_cancel_whose_answer_is_lost_is_answered_as_done_while_reads_are_stale(
    schema: Schema, stores: tuple[SnowflakeStore, SnowflakeStore]
) -> None:
    client, _ = stores
    schema.fault("stale", times=None)
    with losing_an_answer(client):
        assert client.cancel("waits").status == "cancelled"
    schema.no_faults()
    assert types(client, "waits") == ["submitted", "cancelled"]


def test_cancel_whose_answer_is_lost_is_answered_as_done_although_the_step_has_run_since(
    stores: tuple[SnowflakeStore, SnowflakeStore],
) -> None:
    client, pod = stores

    def then() -> None:
        pod.replay(["waits"])
        run_by_the_pod(pod)

    with losing_an_answer(client, then):
        assert client.cancel("waits").status == "completed"
    assert types(client, "waits") == ["submitted", "cancelled", "replayed", "claimed", "completed"]


def test_change_of_many_whose_answer_is_lost_names_the_steps_that_it_changed(
    schema: Schema, stores: tuple[SnowflakeStore, SnowflakeStore]
) -> None:
    client, _ = stores
    schema.fault("stale", times=None)
    with losing_an_answer(client):
        changed = client.change_allowed([Cancel("failed"), Cancel("waits")])
    assert changed == ["waits"]


def test_change_that_was_not_done_before_its_answer_was_lost_is_rejected_if_it_must_be(
    schema: Schema, stores: tuple[SnowflakeStore, SnowflakeStore]
) -> None:
    client, pod = stores
    call = client.session.call
    lost = [StoreUnavailable("the request is lost")]

    def losing(name: str, **values: Any) -> Rows:
        if lost:
            run_by_the_pod(pod)
            raise lost.pop()
        return call(name, **values)

    with (
        patch.object(client.session, "call", losing),
        pytest.raises(IllegalTransition, match="'waits' is completed and cannot be cancelled"),
    ):
        client.cancel("waits")
