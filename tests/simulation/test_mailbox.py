"""The simulated mailbox: who serves which requests, once."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from fleet_q.core.calls import StoreCall
from fleet_q.core.errors import IncarnationEnded
from fleet_q.core.pod import Join, Leave, SendHeartbeat, Sleep
from fleet_q.core.ports import CheckedSubmission, SubmissionResult, SyncRequest, SyncResult
from fleet_q.core.step import Complete, Submit
from fleet_q.services.simulation.mailbox import MAX_AGE
from fleet_q.services.simulation.models import standard
from tests.simulation.test_server import SimulatedStore

PATIENCE = 20.0


class Combining(SimulatedStore):
    """A store with 40 steps and two pods, ``pod`` and ``other``."""

    def __init__(self) -> None:
        super().__init__(standard())
        self.call("first", StoreCall("sync", (SyncRequest("other", "j", Join("other", "j")),)))
        self.wait(10.0)
        self.answers.clear()
        self.mailbox = self.server._store.mailbox

    def wait(self, seconds: float) -> None:
        self.virtual_clock.run(self.virtual_clock.now + seconds)

    def send(self, method: str, request: SyncRequest, number: int = 1) -> None:
        self.call(request.pod_id, StoreCall(method, (request, number, PATIENCE)))

    def put(self, request: SyncRequest, number: int = 1) -> None:
        self.mailbox.post(None, request, number)

    def answer(self, name: str) -> Any:
        return next(answer for who, answer in reversed(self.answers) if who == name)

    def tokens(self) -> list[str]:
        steps = self.database.steps
        return sorted(
            steps[step_id].claim_token or "" for step_id in self.database.by_status["claimed"]
        )


def claim(pod_id: str, incarnation: str, token: str = "t", **fields: Any) -> SyncRequest:
    return SyncRequest(pod_id, incarnation, claim=2, claim_token=f"{pod_id} {token}", **fields)


MINE, OTHERS, THIRD = claim("pod", "i"), claim("other", "j"), claim("third", "k")


@pytest.fixture
def store() -> Combining:
    return Combining()


def test_request_alone_in_the_mailbox_is_served_when_it_is_posted(store: Combining) -> None:
    store.send("post", MINE)
    store.wait(10.0)
    result = store.answer("pod")
    assert isinstance(result, SyncResult)
    assert len(result.claimed) == 2
    assert result.served_others == 0


def test_request_waits_while_an_older_one_waits(store: Combining) -> None:
    store.put(OTHERS)
    store.wait(1.0)
    store.send("post", MINE)
    store.wait(10.0)
    assert store.answer("pod") is None
    assert store.claimed() == 0


def test_pod_of_the_oldest_request_serves_all(store: Combining) -> None:
    store.put(OTHERS)
    store.wait(1.0)
    store.put(MINE)
    store.send("poll", OTHERS)
    store.wait(10.0)
    assert store.answer("other").served_others == 1
    assert store.tokens() == ["other t", "other t", "pod t", "pod t"]
    store.send("poll", MINE)
    store.wait(10.0)
    assert len(store.answer("pod").claimed) == 2
    assert store.answer("pod").served_others is None
    assert store.claimed() == 4


def test_next_oldest_serves_if_its_pod_has_waited_for_too_long(store: Combining) -> None:
    store.put(OTHERS)
    store.put(MINE)
    store.put(THIRD)
    store.wait(PATIENCE - 2.0)
    store.send("poll", MINE)
    store.wait(3.0)
    assert store.answer("pod") is None
    store.send("poll", THIRD)  # twice as patient: two older ones wait
    store.wait(3.0)
    assert store.answer("third") is None
    store.send("poll", MINE)
    store.wait(10.0)
    assert store.answer("pod").served_others == 2
    assert store.tokens() == ["other t", "other t", "pod t", "pod t"]


def test_sleeping_pod_wakes_only_if_it_gets_a_step(store: Combining) -> None:
    for pod, incarnation in (("pod", "i"), ("other", "j")):
        sleep = SyncRequest(pod, incarnation, Sleep(pod, incarnation))
        store.send("post", sleep)
        store.wait(10.0)
    assert {pod.status for pod in store.database.pods.values()} == {"asleep"}
    every_step = replace(OTHERS, claim=40)
    for number, request in enumerate((every_step, MINE), start=2):
        command = SendHeartbeat(request.pod_id, request.incarnation)
        wake = replace(request, pod_command=command, only_if_claimable=True)
        store.put(wake, number)
        store.send("poll", wake, number)
        store.wait(10.0)
    assert store.answer("other").done
    assert not store.answer("pod").done
    statuses = {pod.pod_id: pod.status for pod in store.database.pods.values()}
    assert (statuses["other"], statuses["pod"]) == ("up", "asleep")


def test_two_that_serve_at_once_serve_each_request_once(store: Combining) -> None:
    store.put(OTHERS)
    store.put(MINE)
    store.wait(PATIENCE + 1.0)
    store.send("poll", OTHERS)
    store.send("poll", MINE)
    store.wait(20.0)
    assert store.claimed() == 4
    assert [len(store.answer(name).claimed) for name in ("pod", "other")] == [2, 2]


def test_request_that_arrives_again_is_not_served_again(store: Combining) -> None:
    store.send("post", MINE)
    store.wait(10.0)
    done = tuple(Complete(s.step_id, MINE.claim_token, "1") for s in store.answer("pod").claimed)
    store.call("pod", StoreCall("sync", (SyncRequest("pod", "i", outcomes=done),)))
    store.wait(10.0)
    assert store.claimed() == 0
    store.put(MINE)
    store.send("post", OTHERS)
    store.wait(10.0)
    assert store.tokens() == ["other t", "other t"]


def test_request_is_void_once_a_later_one_was_posted(store: Combining) -> None:
    store.put(MINE)
    store.send("post", claim("pod", "i", "later"), 2)
    store.wait(10.0)
    assert store.tokens() == ["pod later", "pod later"]


def test_request_is_void_when_it_is_too_old_and_is_posted_again(store: Combining) -> None:
    store.put(MINE)
    store.wait(MAX_AGE)
    store.send("post", OTHERS)
    store.wait(10.0)
    assert store.tokens() == ["other t", "other t"]
    store.send("poll", MINE)
    store.wait(10.0)
    assert len(store.answer("pod").claimed) == 2


def test_poll_posts_a_request_that_has_not_arrived(store: Combining) -> None:
    store.send("poll", MINE)
    store.wait(10.0)
    assert len(store.answer("pod").claimed) == 2


def test_claim_of_an_ended_incarnation_is_not_served(store: Combining) -> None:
    store.put(MINE)
    store.call("x", StoreCall("sync", (SyncRequest("pod", "i", Leave("pod", "i")),)))
    store.wait(10.0)
    store.send("poll", MINE)
    store.wait(10.0)
    assert isinstance(store.answer("pod"), IncarnationEnded)
    assert store.claimed() == 0


def test_claim_is_not_posted_if_no_step_is_due(store: Combining) -> None:
    for _ in range(2):
        store.send("post", claim("pod", "i", "all", pod_command=None), 1)
        store.wait(10.0)
    for step_id in list(store.database.by_status["pending"]):
        store.call("x", StoreCall("cancel", (step_id,)))
        store.wait(3.0)
    store.send("post", MINE, 2)
    store.wait(10.0)
    assert store.answer("pod").claimed == ()
    assert list(store.mailbox.servable()) == []


def test_posted_request_is_a_heartbeat_before_it_is_served(store: Combining) -> None:
    before = store.database.pods["pod"].last_heartbeat_ts
    store.put(OTHERS)
    store.send("post", claim("pod", "i", pod_command=SendHeartbeat("pod", "i")))
    store.wait(10.0)
    assert store.answer("pod") is None
    assert store.database.pods["pod"].last_heartbeat_ts > before


def test_sleeping_pod_is_woken_when_its_request_is_served(store: Combining) -> None:
    store.call("x", StoreCall("sync", (SyncRequest("pod", "i", Sleep("pod", "i")),)))
    store.wait(10.0)
    store.send("post", claim("pod", "i", pod_command=SendHeartbeat("pod", "i")))
    store.wait(10.0)
    assert len(store.answer("pod").claimed) == 2
    assert store.database.pods["pod"].status == "up"


def test_submissions_are_served_with_requests_and_of_two_with_one_id_the_older_is_stored(
    store: Combining,
) -> None:
    older, newer = (
        CheckedSubmission(name, (Submit("new", "{}"),), None) for name in ("older", "newer")
    )
    store.put(MINE)
    store.mailbox.post(None, older, 1)
    store.mailbox.post(None, newer, 1)
    store.send("poll", MINE)
    store.wait(10.0)
    for name, submission in (("one", older), ("two", newer)):
        poll = StoreCall("submit_checked", (submission, PATIENCE), {"is_posted": True})
        store.call(name, poll)
    store.wait(10.0)
    assert store.answer("one") == SubmissionResult(True)
    assert [step.step_id for step in store.answer("two").existing] == ["new"]
    assert len(store.database.step_log["new"]) == 1


def test_join_is_not_served_after_a_later_process_has_posted_one(store: Combining) -> None:
    earlier, later = (SyncRequest("pod", name, Join("pod", name)) for name in ("i2", "i3"))
    store.put(earlier)
    store.put(later)
    store.put(earlier)
    assert [row.request for row in store.mailbox.servable()] == [later]
    with pytest.raises(IncarnationEnded):
        store.mailbox.find(earlier, 1)
