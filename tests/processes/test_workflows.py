"""A workflow that grows while it runs, on pods one of which is killed again and again."""

from __future__ import annotations

from collections import Counter

from fleet_q import FleetQ
from fleet_q.core import events as ev
from fleet_q.core.audit import audit
from tests.processes import tasks
from tests.processes.conftest import Pods
from tests.processes.limits import kill_again_and_again
from tests.waiting import LIMIT, wait_until


def test_workflow_is_whole_though_pods_are_killed_while_it_spawns_its_steps(
    pods: Pods, full_size: bool
) -> None:
    """A step spawns branches, which spawn leaves; the last step waits for all of these."""
    branches, leaves, kills = (19, 26, 20) if full_size else (5, 6, 4)
    numbers = [[branch * 100 + leaf for leaf in range(leaves)] for branch in range(branches)]
    fleet = FleetQ(pods.store)
    branch, total = fleet.task("branch")(tasks.branch), fleet.task("total")(tasks.total)
    flow = fleet.workflow("growing")
    root = branch.options(max_retries=tasks.ENDLESS).step(numbers)
    last = total.options(max_retries=tasks.ENDLESS).step()
    flow.chain(root, last)
    workflow_id = flow.submit()

    holder = pods.start("holder", NAP_SECONDS="3600")
    wait_until(lambda: fleet.steps(status="claimed", task_type="nap").steps)
    holder.kill()
    holder.wait()
    for number in range(3):
        pods.start(f"pod-{number}")
    kill_again_and_again(lambda: pods.start("victim"), pods.store, "victim", kills)
    assert fleet.workflows.wait(workflow_id, LIMIT) == "completed"

    view = fleet.workflows.show(workflow_id)
    assert view.counts == {"completed": 2 + branches + branches * leaves}
    assert fleet.status(last.step_id).result == sum(sum(one) for one in numbers)
    spawned = Counter(
        event.fact.spawned_by
        for event in pods.store.step_events()
        if isinstance(event.fact, ev.Submitted)
    )
    assert sorted(spawned.values()) == sorted([2, branches, *[leaves] * branches])
    report = audit(pods.store.step_events())
    assert (report.steps, report.faults) == (sum(spawned.values()), [])
    assert report.recovered > 0
    assert pods.store.rebuild(check=True).equal
