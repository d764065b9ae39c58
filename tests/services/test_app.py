"""The methods of the app: submit, status, wait, cancel, dead letters and leader."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_q import FleetQ
from fleet_q.core.errors import IllegalTransition, InvalidInput, StepConflict, UnknownStep
from fleet_q.core.ports import SubmitResult
from fleet_q.core.step import Submit
from fleet_q.services.app.admin import LONGEST_PAGE
from fleet_q.services.app.bulk import SUBMIT_BATCH
from tests.services.conftest import QUICK, Run, has_sent_heartbeat_since, last_heartbeat
from tests.waiting import LIMIT, wait_until

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(payload=st.dictionaries(st.text(), JSON, max_size=5))
def test_any_json_object_reaches_the_function_and_returns_unchanged(payload: Any) -> None:
    app = FleetQ("memory://", settings=QUICK)
    step_id = app.submit(payload)
    shown = app.status(step_id).payload
    assert shown == payload
    assert repr(shown) == repr(payload)  # 1 is not 1.0, and -0.0 is not 0.0


def test_submit_many_checks_all_payloads_before_it_stores_the_first(app: FleetQ) -> None:
    with pytest.raises(InvalidInput):
        app.submit_many([{"a": 1}, {"a": float("nan")}])
    assert sum(app.queue().values()) == 0


def test_submit_many_keeps_the_order_over_several_transactions(app: FleetQ, run: Run) -> None:
    app.use(settings=msgspec.structs.replace(QUICK, prefetch=0))  # prefetched steps may be released
    order = []

    @app.task("note")
    async def note(number: int) -> None:
        order.append(number)

    ids = app.submit_many({"task_type": "note", "number": n} for n in range(SUBMIT_BATCH + 5))
    assert len(set(ids)) == len(ids) == SUBMIT_BATCH + 5
    assert ids == sorted(ids)
    run(*ids[-8:])
    assert order == list(range(SUBMIT_BATCH + 5))


def test_submit_many_stores_a_thousand_in_a_transaction(
    app: FleetQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    store = app.store
    submit = store.submit

    def counted(new: Sequence[Submit], by: str | None) -> list[SubmitResult]:
        sizes.append(len(new))
        return submit(new, by)

    monkeypatch.setattr(store, "submit", counted)
    app.submit_many({"n": n} for n in range(2 * SUBMIT_BATCH + 5))
    assert sizes == [SUBMIT_BATCH, SUBMIT_BATCH, 5]


def test_submitting_the_same_id_and_payload_again_stores_nothing(app: FleetQ) -> None:
    assert app.submit({"a": 1, "b": 2}, step_id="mine") == "mine"
    assert app.submit({"b": 2, "a": 1}, step_id="mine") == "mine"
    with pytest.raises(StepConflict):
        app.submit({"a": 2}, step_id="mine")
    assert sum(app.queue().values()) == 1


def test_unknown_step_raises_unknown_step(app: FleetQ) -> None:
    for ask in (app.status, app.history, app.cancel, app.wait):
        with pytest.raises(UnknownStep):
            ask("nobody")
    with pytest.raises(UnknownStep):
        app.replay(["nobody"])


@pytest.mark.parametrize("url", ["memory://", "sqlite:///{}/q.db"])
@pytest.mark.parametrize("step_id", ["", "x" * 201, "nul\0", "half \ud800", 5, None])
def test_invalid_id_is_rejected_before_the_store_is_called(
    tmp_path: Path, url: str, step_id: Any
) -> None:
    app = FleetQ(url.format(tmp_path), settings=QUICK)
    for ask in (app.status, app.history, app.cancel, app.wait):
        with pytest.raises(InvalidInput, match="step_id"):
            ask(step_id)
    with pytest.raises(InvalidInput, match="step_id"):
        app.replay([step_id])


@pytest.mark.parametrize(
    "before",
    ["", "x", "5", "²:x", "--1:a", "1" * 19 + ":x", "9" * 5000 + ":x", "1:", "1:\ud800", "1:a\0"],
)
def test_invalid_cursor_is_rejected(app: FleetQ, before: str) -> None:
    with pytest.raises(InvalidInput, match="cursor"):
        app.dead_letters(before=before)


@pytest.mark.parametrize("limit", [-1, 0, LONGEST_PAGE + 1, 10**30])
def test_page_limit_out_of_range_is_rejected(app: FleetQ, limit: Any) -> None:
    with pytest.raises(InvalidInput, match="limit"):
        app.dead_letters(limit)


def test_wait_raises_timeout_error_after_its_timeout(app: FleetQ) -> None:
    with pytest.raises(TimeoutError, match=r"is still pending after 0\.01 s"):
        app.wait(app.submit({}), timeout=0.01)


def test_delayed_step_is_not_claimed_before_its_delay_has_passed(app: FleetQ, run: Run) -> None:
    @app.task("now")
    def now() -> None: ...

    later = now.options(delay=3600).submit()
    run(now.submit())
    assert app.status(later).status == "pending"


def test_cancel_replay_and_the_dead_letters(app: FleetQ, run: Run) -> None:
    @app.task("bad", max_retries=0)
    def bad() -> None:
        raise ValueError

    first, second = bad.submit(), bad.submit()
    run(first, second)
    page = app.dead_letters(limit=1)
    rest = app.dead_letters(limit=1, before=page.before)
    assert {page.steps[0].step_id, rest.steps[0].step_id} == {first, second}
    with pytest.raises(IllegalTransition):
        app.cancel(first)
    assert app.replay_all() == 2
    assert app.queue()["pending"] == 2
    assert app.cancel(first).status == "cancelled"
    assert app.cancel(first).status == "cancelled"
    assert app.replay([first]) == [first]
    with pytest.raises(IllegalTransition):
        app.replay([first])
    assert app.dead_letters(before=f"{-(10**17)}:a\nb").steps == []


def test_only_pod_is_the_leader(app: FleetQ) -> None:
    async def main() -> None:
        assert app.leader().leader_pod_id is None
        app.executor(lambda step: None)
        async with app.running() as pod:
            step_id = app.submit({})
            await asyncio.to_thread(app.wait, step_id, LIMIT)
            lead = app.leader()
            assert (lead.leader_pod_id, lead.this_pod_id, lead.is_leader) == (
                "pod-1",
                "pod-1",
                True,
            )
            assert lead.alive_pods == ["pod-1"]
            assert pod.is_healthy()
        assert app.leader().total_alive_pods == 0

    asyncio.run(main())


def test_step_submitted_in_the_pods_process_is_claimed_at_once() -> None:
    patient = FleetQ("memory://", settings=type(QUICK)(claim_interval=3600))

    @patient.task("quick")
    def quick() -> str:
        return "done"

    async def main() -> str:
        async with patient.running():
            await asyncio.sleep(0)
            return str((await asyncio.to_thread(patient.wait, quick.submit(), LIMIT)).result)

    assert asyncio.run(main()) == "done"


def test_heartbeat_continues_while_a_function_blocks_the_event_loop(app: FleetQ) -> None:
    @app.task("rude")
    async def rude() -> int:
        for _ in range(3):  # heartbeats go on while the loop is blocked
            wait_until(partial(has_sent_heartbeat_since, app, last_heartbeat(app)))
        return 1

    async def main() -> None:
        async with app.running():
            step_id = rude.submit()
            assert (await asyncio.to_thread(app.wait, step_id, LIMIT)).result == 1

    asyncio.run(main())
