"""Showing, awaiting, cancelling and retrying workflows: from Python, HTTP and the command line."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from fleet_q import FleetQ, InvalidInput, PermanentFailure, current_step
from fleet_q.core.errors import UnknownWorkflow
from fleet_q.core.step import Submit
from fleet_q.services.app import search, workflows
from fleet_q.services.cli.workflow import duration
from tests.services.conftest import QUICK, Command, Run, api_of, ended
from tests.waiting import LIMIT

BROKEN = {"is": True}


def tasks(app: FleetQ) -> tuple[Any, Any]:
    """A task that works, and one that fails while ``BROKEN`` says so."""

    @app.task("work")
    def work() -> None: ...

    @app.task("break", max_retries=0)
    def broken() -> None:
        if BROKEN["is"]:
            raise ValueError("it is broken")

    return work, broken


@pytest.fixture(autouse=True)
def is_broken() -> None:
    BROKEN["is"] = True


def nightly(app: FleetQ) -> tuple[str, list[str]]:
    """Submit a chain whose second step fails; its id and those of its steps."""
    work, broken = tasks(app)
    steps = [work.step(), broken.step(), work.step(), work.step()]
    flow = app.workflow("nightly")
    flow.chain(*steps)
    return flow.submit(), [step.step_id for step in steps]


def statuses(app: FleetQ, step_ids: list[str]) -> list[str]:
    return [app.status(step_id).status for step_id in step_ids]


def test_workflow_shows_its_tree_its_counts_and_what_failed(app: FleetQ, run: Run) -> None:
    workflow_id, step_ids = nightly(app)
    view = app.workflows.show(workflow_id)
    assert (view.name, view.status, view.ended_ts) == ("nightly", "running", None)
    assert view.counts == {"pending": 1, "waiting": 3}

    run(*step_ids)
    view = app.workflows.show(workflow_id)
    assert view.status == "failed"
    assert view.counts == {"completed": 1, "failed": 1, "cancelled": 2}
    assert view.ended_ts is not None
    assert view.critical_path == step_ids[:2]
    assert [step.step_id for step in view.steps] == step_ids
    assert [step.under for step in view.steps] == [None, *step_ids[:3]]
    assert view.steps[1].error == "ValueError: it is broken"
    assert view.steps[1].waited is not None
    assert (view.steps[2].waited, view.steps[2].ran) == (None, None)


def test_spawned_steps_stand_under_the_step_that_spawned_them(app: FleetQ, run: Run) -> None:
    work, _ = tasks(app)

    @app.task("list")
    def list_files() -> list[str]:
        return [current_step().spawn(work.step()) for _ in range(3)]

    first, last = list_files.step(), work.step()
    flow = app.workflow("dynamic")
    flow.chain(first, last)
    workflow_id = flow.submit()
    (listed, _) = run(first.step_id, last.step_id)

    view = app.workflows.show(workflow_id)
    assert (view.status, view.counts) == ("completed", {"completed": 5})
    by_id = {step.step_id: step for step in view.steps}
    assert {by_id[child].under for child in listed.result} == {first.step_id}
    assert set(by_id[last.step_id].after) == {first.step_id, *listed.result}
    assert by_id[last.step_id].under in listed.result


def test_shown_steps_are_limited_to_those_that_matter(app: FleetQ, run: Run) -> None:
    workflow_id, step_ids = nightly(app)
    run(*step_ids)
    view = app.workflows.show(workflow_id, 1)
    assert [step.step_id for step in view.steps] == step_ids[1:2]
    assert view.left_out == 3
    for limit in (0, True, "1"):
        with pytest.raises(InvalidInput, match="limit must be 1 or more"):
            app.workflows.show(workflow_id, limit)  # type: ignore[arg-type]


def test_workflow_is_read_in_pages(app: FleetQ, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflows, "PAGE", 2)
    app.store.submit([Submit(f"s{n}", "{}", workflow_id="w") for n in range(5)])
    assert [step.step_id for step in app.workflows.show("w").steps] == [f"s{n}" for n in range(5)]
    monkeypatch.setattr(workflows, "MOST_STEPS", 4)
    with pytest.raises(InvalidInput, match="'w' has more than 4 steps; list them"):
        app.workflows.show("w")


def test_wait_returns_how_a_workflow_ended(app: FleetQ) -> None:
    failing, _ = nightly(app)
    flow = app.workflow("good")
    flow.add(app.registered("work").step())  # type: ignore[union-attr]
    good = flow.submit()
    with pytest.raises(TimeoutError, match="is still running after 0 s"):
        app.workflows.wait(good, timeout=0)

    async def both() -> list[str]:
        async with app.running():
            waiting = [asyncio.to_thread(app.workflows.wait, w, LIMIT) for w in (failing, good)]
            return list(await asyncio.gather(*waiting))

    assert asyncio.run(both()) == ["failed", "completed"]
    app.store.submit([Submit("alone", "{}", workflow_id="cancelled")])
    assert app.workflows.cancel("cancelled") == 1
    assert app.workflows.wait("cancelled", 0) == "cancelled"


def test_function_cannot_wait_for_a_workflow_of_its_app(app: FleetQ, run: Run) -> None:
    @app.task("waits", max_retries=0)
    def waits() -> None:
        with pytest.raises(PermanentFailure, match="waits for workflow 'w' of the same app"):
            app.workflows.wait("w")

    (step,) = run(waits.submit())
    assert step.status == "completed"


def test_unknown_workflow_is_an_error(app: FleetQ) -> None:
    for call in (
        app.workflows.show, app.workflows.wait, app.workflows.cancel, app.workflows.retry,
    ):  # fmt: skip
        with pytest.raises(UnknownWorkflow, match="no step belongs to workflow 'none'"):
            call("none")
        with pytest.raises(InvalidInput, match="workflow_id must be a text"):
            call("")


def test_cancelled_workflow_has_no_open_steps(app: FleetQ, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "BATCH", 2)
    workflow_id, step_ids = nightly(app)
    app.submit({}, step_id="other")
    batches: list[int] = []
    assert app.workflows.cancel(workflow_id, batches.append) == 4
    assert sum(batches) == 4
    assert statuses(app, step_ids) == ["cancelled"] * 4
    assert app.status("other").status == "pending"
    assert app.workflows.cancel(workflow_id) == 0


def test_retry_replays_what_failed_and_brings_back_what_fell(app: FleetQ, run: Run) -> None:
    workflow_id, step_ids = nightly(app)
    run(*step_ids)
    assert statuses(app, step_ids) == ["completed", "failed", "cancelled", "cancelled"]

    BROKEN["is"] = False
    assert app.workflows.retry(workflow_id) == 1
    assert statuses(app, step_ids) == ["completed", "pending", "waiting", "waiting"]
    run(*step_ids)
    assert app.workflows.show(workflow_id).status == "completed"
    assert app.workflows.retry(workflow_id) == 0


def test_retry_of_a_cancelled_workflow_replays_parents_first(
    app: FleetQ, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflows, "BATCH", 2)
    workflow_id, step_ids = nightly(app)
    app.workflows.cancel(workflow_id)
    assert app.workflows.retry(workflow_id) == 0

    batches: list[int] = []
    assert app.workflows.retry(workflow_id, cancelled=True, on_batch=batches.append) == 4
    assert batches == [2, 2]
    assert statuses(app, step_ids) == ["pending", "waiting", "waiting", "waiting"]
    BROKEN["is"] = False
    run(*step_ids)
    assert app.workflows.wait(workflow_id, 0) == "completed"


def test_http_shows_cancels_and_retries_a_workflow(app: FleetQ, run: Run) -> None:
    workflow_id, step_ids = nightly(app)
    run(*step_ids)
    with TestClient(api_of(app)) as http:
        shown = http.get(f"/workflows/{workflow_id}").json()
        assert (shown["status"], shown["critical_path"]) == ("failed", step_ids[:2])
        assert [step["status"] for step in shown["steps"]] == [
            "completed", "failed", "cancelled", "cancelled",
        ]  # fmt: skip
        assert http.get(f"/workflows/{workflow_id}", params={"limit": 1}).json()["left_out"] == 3
        assert http.get(f"/workflows/{workflow_id}", params={"limit": 0}).status_code == 422
        assert http.post(f"/workflows/{workflow_id}/retry").json() == {"steps": 1}
        assert http.post(f"/workflows/{workflow_id}/cancel").json() == {"steps": 3}
        again = http.post(f"/workflows/{workflow_id}/retry", params={"cancelled": True})
        assert again.json() == {"steps": 3}
        for answer in (
            http.get("/workflows/none"),
            http.post("/workflows/none/cancel"),
            http.post("/workflows/none/retry"),
        ):
            assert answer.status_code == 404
            assert answer.json() == {"detail": "no step belongs to workflow 'none'"}


def stored(ran: bool) -> tuple[str, list[str]]:
    """A workflow in the file of the commands, in the same folder."""
    app = FleetQ(settings=QUICK)
    workflow_id, step_ids = nightly(app)
    if ran:
        asyncio.run(ended(app, step_ids))
    app.close()
    return workflow_id, step_ids


def test_command_shows_a_workflow_in_80_columns(fleet_q: Command) -> None:
    workflow_id, step_ids = stored(ran=True)
    code, out, err = fleet_q("workflow", "show", workflow_id)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith(f"workflow {workflow_id} failed in ")
    assert lines[1] == "1 completed, 1 failed, 2 cancelled"
    tree = "\n".join(line[:12].rstrip() for line in lines[4:9])
    assert tree == "* work\n*   break\n      step-0\n      work\n        work"
    assert f"{step_ids[1]}: ValueError: it" in out
    assert lines[-1].startswith("* critical path: 2 steps, waited ")
    assert max(map(len, lines)) <= 80


def test_command_shows_a_workflow_as_json(fleet_q: Command) -> None:
    workflow_id, step_ids = stored(ran=False)
    shown = json.loads(fleet_q("workflow", "show", workflow_id, "--json")[1])
    assert [step["step_id"] for step in shown["steps"]] == step_ids
    assert shown["counts"] == {"pending": 1, "waiting": 3}
    limited = json.loads(fleet_q("workflow", "show", workflow_id, "--json", "--limit", "1")[1])
    assert limited["left_out"] == 3


def test_command_says_how_many_steps_it_leaves_out(fleet_q: Command) -> None:
    app = FleetQ(settings=QUICK)
    work, _ = tasks(app)
    flow = app.workflow("wide")
    first = flow.add(work.step())
    flow.map(lambda _: work.step(), range(2_000), after=first)
    workflow_id = flow.submit()
    app.close()

    lines = fleet_q("workflow", "show", workflow_id)[1].splitlines()
    assert lines[0].startswith(f"workflow {workflow_id} has been running for ")
    assert "    … 1951 more: 1951 waiting" in lines
    assert len(lines) < 60
    shorter = fleet_q("workflow", "show", workflow_id, "--limit", "3")[1]
    assert "    … 1998 more: 1998 waiting" in shorter


def test_command_waits_for_a_workflow_and_fails_unless_it_is_completed(fleet_q: Command) -> None:
    workflow_id, _ = stored(ran=True)
    code, out, err = fleet_q("workflow", "wait", workflow_id)
    assert (code, err) == (
        1,
        f"fleet-q: workflow '{workflow_id}' is failed: 1 completed, 1 failed, 2 cancelled\n",
    )
    assert "ValueError: it is broken" in out
    waiting, _ = stored(ran=False)
    code, _, err = fleet_q("workflow", "wait", waiting, "--timeout", "0")
    assert (code, err) == (1, f"fleet-q: workflow '{waiting}' is still running after 0 s\n")


def test_command_cancels_and_retries_a_workflow(fleet_q: Command) -> None:
    workflow_id, step_ids = stored(ran=True)
    assert fleet_q("workflow", "retry", workflow_id)[:2] == (0, "replayed 1 step\n")
    assert fleet_q("workflow", "cancel", workflow_id)[:2] == (0, "cancelled 3 steps\n")
    assert fleet_q("workflow", "retry", workflow_id, "--cancelled", "--json")[1] == (
        '{\n  "steps": 3\n}\n'
    )
    assert json.loads(fleet_q("status", step_ids[1], "--json")[1])["status"] == "pending"
    assert fleet_q("workflow", "cancel", "none")[::2] == (
        1,
        "fleet-q: no step belongs to workflow 'none'\n",
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0s"), (0.26, "0.3s"), (9.96, "10s"), (119, "119s"), (125, "2m 5s"),
        (12_000, "3h 20m"), (187_200, "2d 4h"),
    ],
)  # fmt: skip
def test_duration_is_shown_in_one_unit_or_two(seconds: float, text: str) -> None:
    assert duration(round(seconds * 1_000_000)) == text
