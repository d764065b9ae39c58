"""Steps that wait for others, in Python, on the command line and over HTTP."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from starlette.testclient import TestClient

from fleet_q import FleetQ, current_step
from fleet_q.core.errors import InvalidInput, UnknownStep

from .conftest import QUICK, Command, Run, api_of, ended


def test_function_reads_the_results_of_the_steps_it_waited_for(app: FleetQ, run: Run) -> None:
    @app.task("load")
    def load(part: int) -> int:
        return part * 10

    @app.task("report")
    def report() -> dict[str, Any]:
        return {step_id: parent.result for step_id, parent in current_step().parents.items()}

    parts = load.options().submit_many([{"part": 1}, {"part": 2}])
    last = report.options(after=parts).submit()
    assert app.status(last).status == "waiting"
    (step,) = run(last)
    assert step.result == {parts[0]: 10, parts[1]: 20}
    assert list(step.parents) == parts


async def _parents() -> list[str]:
    return [parent.status for parent in current_step().parents.values()]


def test_step_may_wait_until_another_has_ended_in_any_way(app: FleetQ, run: Run) -> None:
    @app.task("fail", max_retries=0)
    def fail() -> None:
        raise ValueError("no")

    clean_up = app.task("clean up")(_parents)
    first = fail.submit()
    needs_it = fail.options(after=first).submit()
    last = clean_up.options(after={first: "finished", needs_it: "finished"}).submit()
    steps = run(last, needs_it)
    assert steps[0].result == ["failed", "cancelled"]
    assert (steps[1].status, steps[1].error) == ("cancelled", f"parent {first} failed")


def test_single_pod_runs_a_chain_without_waiting_for_its_claim_interval(
    tmp_path: Path,
) -> None:
    app = FleetQ(f"sqlite:///{tmp_path / 'chain.db'}", settings=replace(QUICK, claim_interval=3600))
    step = app.task("step")(lambda: None)
    ids = [step.submit()]
    for _ in range(5):
        ids.append(step.options(after=ids[-1]).submit())
    assert [step.status for step in asyncio.run(ended(app, ids))] == ["completed"] * 6


def test_step_without_parents_has_none(app: FleetQ, run: Run) -> None:
    task = app.task("none")(_parents)
    (step,) = run(task.submit())
    assert (step.result, step.parents) == ([], {})


@pytest.mark.parametrize(
    ("after", "message"),
    [
        (7, "after must be a list of ids, or an object by id, not a number"),
        ([7], "an id in after must be a text of 1 to 200 characters"),
        ({"a": "later"}, r"after\['a'\] must be success or finished, not 'later'"),
        ([f"s{n}" for n in range(10_001)], "after has 10001 steps; the limit is 10000"),
    ],
)
def test_invalid_parents_are_refused(app: FleetQ, after: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        app.submit({}, after=after)


def test_unknown_parent_is_refused(app: FleetQ) -> None:
    with pytest.raises(UnknownStep, match="no step has the id 'none'"):
        app.submit({}, after="none")
    assert sum(app.queue().values()) == 0


def test_no_parents_are_the_same_as_an_empty_list(app: FleetQ) -> None:
    assert app.status(app.submit({}, after=[])).status == "pending"


def test_command_line_submits_a_step_after_others(fleet_q: Command) -> None:
    for step_id in ("a", "b:c"):
        assert fleet_q("submit", "{}", "--step-id", step_id)[0] == 0
    fleet_q("submit", "{}", "--step-id", "d", "--after", "a", "--after", "b:c:finished")
    step = json.loads(fleet_q("status", "d", "--json")[1])
    assert (step["status"], step["parents"]) == ("waiting", {"a": "success", "b:c": "finished"})
    assert json.loads(fleet_q("queue", "--json")[1])["waiting"] == 1
    code, _, error = fleet_q("submit", "{}", "--after", "none")
    assert (code, error.strip()) == (1, "fleet-q: no step has the id 'none'")
    for words in (["{}"], ["-"]):
        error = fleet_q("submit", *words, "--after", "a:maybe", stdin="{}")[2]
        assert "no step has the id 'a:maybe'; --after ID:KIND knows success and finished" in error
    assert (
        "--after 'a' is given twice; give each step once"
        in fleet_q("submit", "{}", "--after", "a", "--after", "a:finished")[2]
    )


def test_command_line_takes_the_kind_after_the_last_colon(fleet_q: Command) -> None:
    for step_id in ("x:success", "x:finished", "x"):
        assert fleet_q("submit", "{}", "--step-id", step_id)[0] == 0
    after = (
        "--after",
        "x:success:finished",
        "--after",
        "x:finished:success",
        "--after",
        "x:success",
    )
    assert fleet_q("submit", "{}", "--step-id", "y", *after)[0] == 0
    parents = json.loads(fleet_q("status", "y", "--json")[1])["parents"]
    assert parents == {"x:success": "finished", "x:finished": "success", "x": "success"}


def test_http_submits_steps_after_others(app: FleetQ) -> None:
    with TestClient(api_of(app)) as http:
        steps = [
            {"payload": {}, "step_id": "b", "after": "a"},
            {"payload": {}, "step_id": "d", "after": ["a"]},
            {"payload": {}, "step_id": "c", "after": {"a": "finished", "b": "success"}},
            {"payload": {}, "step_id": "a"},
        ]
        assert http.post("/submit/batch", json={"steps": steps}).status_code == 200
        assert http.get("/status/c").json()["parents"] == {"a": "finished", "b": "success"}
        assert http.get("/status/b").json()["parents"] == {"a": "success"}
        for wrong in (5, "", [1], {"a": "maybe"}):
            answer = http.post("/submit", json={"payload": {}, "after": wrong})
            assert answer.status_code == 422
            assert answer.json()["detail"].startswith("after: must be the id of a step, a list of")
        assert http.get("/admin/queue").json()["waiting"] == 3
        assert http.post("/submit", json={"payload": {}, "after": ["none"]}).status_code == 404
        circle = [{"payload": {}, "step_id": s, "after": [s]} for s in ("x",)]
        assert http.post("/submit/batch", json={"steps": circle}).status_code == 422
