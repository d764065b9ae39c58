"""What a pod logs of completed steps."""

from __future__ import annotations

import logging

import pytest

from fleet_q.core.step import Complete, Fail, Outcome, Step
from fleet_q.services.worker.careful_log import wait_for_handlers
from fleet_q.services.worker.completions import Completions
from fleet_q.services.worker.pod_log import PodLog
from tests.conformance.clock import SECOND
from tests.core.helpers import AT, claimed
from tests.waiting import LIMIT


def ended(*names: str) -> list[tuple[Outcome, Step]]:
    steps = [claimed(name, task_type="resize", last_update_ts=AT) for name in names]
    return [(Complete(step.step_id, step.claim_token or "", "null"), step) for step in steps]


def test_first_completions_are_logged_at_once_and_further_ones_each_second() -> None:
    now = 100.0
    completions = Completions(lambda: now)
    completions.add(ended("a"), (), AT + SECOND // 2)
    assert completions.take() == "completed 1 step: resize a (0.50 s)"
    completions.add(ended("b", "c"), (), AT)
    completions.add(ended("d", "e"), {"e"}, AT)
    assert completions.take() is None
    now += 1.0
    assert completions.take() == (
        "completed 3 steps: resize b (0.00 s), resize c (0.00 s), resize d (0.00 s)"
    )
    assert completions.take() is None


def test_line_names_three_steps_and_counts_the_others() -> None:
    completions = Completions()
    failure: tuple[Outcome, Step] = (Fail("x", "t", "Boom"), claimed("x"))
    completions.add([*ended(*"abcde"), failure], (), AT)
    line = completions.take() or ""
    assert line.startswith("completed 5 steps: resize a ")
    assert line.endswith("c (0.00 s) and 2 more")


def test_completions_are_logged_at_info_when_the_pod_leaves(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO):
        pod = PodLog("pod-1")
        for name in "ab":
            pod.on_ended(ended(name), (), AT)
            pod.on_synced(0.1, 0.0)
        pod.on_left(confirmed=True)
        assert wait_for_handlers(LIMIT)
    assert [record.getMessage() for record in caplog.records] == [
        "completed 1 step: resize a (0.00 s)",
        "completed 1 step: resize b (0.00 s)",
        "left the fleet",
    ]
