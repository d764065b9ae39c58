"""The mailbox: one pod serves the requests of all, each once, with the result of a sync."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from fleet_q.adapters.snowflake.session import Session
from fleet_q.adapters.snowflake.statements import Statements
from fleet_q.adapters.snowflake.store import SnowflakeStore
from fleet_q.core.audit import audit
from fleet_q.core.errors import IncarnationEnded
from fleet_q.core.events import Claimed
from fleet_q.core.pod import Drain, Join, Leave, SendHeartbeat, Sleep
from fleet_q.core.ports import SyncRequest, SyncResult
from fleet_q.core.queues import QueueChange
from fleet_q.core.routing import Routes
from fleet_q.core.step import Complete, Fail, Step, Submit, claim_order, steps_to_claim
from tests.standin.client import Schema
from tests.waiting import LIMIT, wait_until

NOW = 1_700_000_000_000_000
SECOND = 1_000_000
PATIENCE = 10.0
PODS = ("a", "b", "c")


class Mail:
    """A store with the pods ``a``, ``b`` and ``c``."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.now = NOW
        schema.set(clock=NOW)
        self.store = SnowflakeStore(schema.parameters, patience=LIMIT)
        for pod in PODS:
            self.store.sync(SyncRequest(pod, f"{pod}1", Join(pod, f"{pod}1")))

    def pass_time(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)
        self.schema.set(clock=self.now)

    def submit(self, count: int, **options: Any) -> list[str]:
        ids = [f"step {number:02}" for number in range(count)]
        self.store.submit([Submit(i, "{}", unique=True, **options) for i in ids])
        return ids

    @contextmanager
    def nobody_serves(self) -> Iterator[None]:
        """Let all requests that are posted meanwhile wait for an older one."""
        self.execute(
            "INSERT INTO SYNC_REQUESTS (pod_id, incarnation, number, sent_ts, request, claim,"
            " outcomes, outcome_count, joins, submissions, routes) SELECT 'nobody', 'nobody',"
            " 1, CURRENT_TIMESTAMP(), '', 0, '', 0, FALSE, '', '{}'"
        )
        yield
        self.execute("DELETE FROM SYNC_REQUESTS WHERE pod_id = 'nobody'")
        self.pass_time(0.001)

    def put(self, *requests: tuple[SyncRequest, int]) -> None:
        """Post requests a millisecond after each other. They wait."""
        with self.nobody_serves():
            for request, number in requests:
                self.pass_time(0.001)
                assert self.store.post(request, number, PATIENCE) is None

    def execute(self, text: str) -> None:
        self.store.session.execute(text)

    def poll(self, request: SyncRequest, number: int = 1) -> SyncResult | None:
        return self.store.poll(request, number, PATIENCE)

    def result(self, request: SyncRequest, number: int = 1) -> SyncResult:
        result = self.poll(request, number)
        assert result is not None
        return result


@pytest.fixture
def mail(tables: Schema) -> Iterator[Mail]:
    mail = Mail(tables)
    yield mail
    assert mail.store.rebuild(check=True).equal
    assert audit(mail.store.step_events()).faults == []
    mail.store.close()


def claim(pod: str, count: int, token: str | None = None) -> SyncRequest:
    return SyncRequest(pod, f"{pod}1", claim=count, claim_token=token or f"token {pod}")


def asleep(pod: str) -> SyncRequest:
    return SyncRequest(pod, f"{pod}1", Sleep(pod, f"{pod}1"))


def wake(pod: str) -> SyncRequest:
    heartbeat = SendHeartbeat(pod, f"{pod}1")
    return replace(claim(pod, 2), pod_command=heartbeat, only_if_claimable=True)


def ids(result: SyncResult) -> list[str]:
    return [step.step_id for step in result.claimed]


def test_request_that_is_alone_is_served_when_it_is_posted(mail: Mail) -> None:
    steps = mail.submit(3)
    mail.schema.forget()
    result = mail.store.post(claim("a", 2), 1, PATIENCE)
    assert result is not None
    assert (ids(result), result.served_others) == (steps[:2], 0)
    assert len(mail.schema.log(lambda statement: statement.call is None)) == 1


def test_one_call_serves_all_in_the_order_of_posting(mail: Mail) -> None:
    steps = mail.submit(6)
    requests = [claim("c", 2), claim("a", 1), claim("b", 2)]
    mail.put(*((request, 1) for request in requests))
    first = mail.result(requests[0])
    assert (ids(first), first.served_others) == (steps[:2], 2)
    others = [mail.result(request) for request in requests[1:]]
    assert [ids(result) for result in others] == [steps[2:3], steps[3:5]]
    assert [result.served_others for result in others] == [None, None]
    assert [event.pod_id for event in mail.store.history(steps[3])] == [None, "b"]


def test_outcomes_of_all_are_recorded_for_their_pods(mail: Mail) -> None:
    steps = mail.submit(2)
    for pod in "ab":
        mail.store.sync(claim(pod, 1, "first"))
    requests = [
        SyncRequest(
            "a", "a1", outcomes=(Complete(steps[0], "first", "1"),), claim=1, claim_token="2a"
        ),
        SyncRequest(
            "b", "b1", outcomes=(Fail(steps[1], "first", "Boom"),), claim=1, claim_token="2b"
        ),
    ]
    mail.put(*((request, 1) for request in requests))
    results = [mail.result(request) for request in requests]
    assert [(result.refused, ids(result)) for result in results] == [((), []), ((), [])]
    assert [event.pod_id for event in mail.store.history(steps[0])][-1] == "a"
    assert [event.pod_id for event in mail.store.history(steps[1])][-1] == "b"
    assert mail.store.counts()["completed"] == mail.store.counts()["pending"] == 1


@pytest.mark.slow
def test_late_outcome_is_refused_in_the_mailbox_too(mail: Mail) -> None:
    (step,) = mail.submit(1)
    mail.store.sync(claim("a", 1, "first"))
    mail.store.cancel(step)
    request = SyncRequest("a", "a1", outcomes=(Complete(step, "first", "1"),))
    result = mail.store.post(request, 1, PATIENCE)
    assert result is not None
    assert result.refused == (step,)


def test_each_request_takes_the_steps_that_the_rule_gives_it(mail: Mail) -> None:
    """Of its places in the queue: after the free slots, only steps with tries left."""
    mail.store.submit([Submit(f"step {n}", "{}", max_retries=n % 2, unique=True) for n in range(8)])
    queue: list[Step] = []
    for number in range(8):
        step = mail.store.step(f"step {number}")
        assert step is not None
        queue.append(step)
    queue.sort(key=claim_order)
    requests = [replace(claim(pod, 4), prefetch=3) for pod in "ab"]
    mail.put(*((request, 1) for request in requests))
    expected = [steps_to_claim(queue[:4], 1), steps_to_claim(queue[4:], 1)]
    assert [ids(mail.result(request)) for request in requests] == [
        [step.step_id for step in steps] for steps in expected
    ]


def test_requests_that_are_served_together_share_the_limits_of_queues(mail: Mail) -> None:
    mail.store.set_queue("q", QueueChange(max_running=3))
    mail.submit(6, queue="q")
    requests = [claim(pod, 2) for pod in "ab"]
    mail.put(*((request, 1) for request in requests))
    results = [ids(mail.result(request)) for request in requests]
    assert results == [["step 00", "step 01"], ["step 02"]]


@pytest.mark.slow
def test_requests_served_one_after_the_other_share_the_limits_of_queues(mail: Mail) -> None:
    mail.store.set_queue("q", QueueChange(max_running=3))
    mail.submit(6, queue="q")
    results = []
    for pod in "ab":
        result = mail.store.post(claim(pod, 2), 1, PATIENCE)
        assert result is not None
        results.append(ids(result))
    assert results == [["step 00", "step 01"], ["step 02"]]


@pytest.mark.slow
def test_request_is_served_once_though_it_was_posted_twice(mail: Mail) -> None:
    mail.submit(4)
    request = claim("a", 1)
    mail.put((request, 1))
    mail.execute(
        "INSERT INTO SYNC_REQUESTS SELECT * FROM SYNC_REQUESTS WHERE number = 1 AND pod_id = 'a'"
    )
    assert len(mail.result(request).claimed) == 1
    assert len(mail.result(request).claimed) == 1
    assert mail.store.counts()["claimed"] == 1


@contextmanager
def outdated_serving(mail: Mail, request: SyncRequest) -> Iterator[Session]:
    """A poll that waits for its lock to serve, and does not see what the yielded session, which
    holds the lock, writes meanwhile."""
    mail.schema.fault("outdated", on="update", matching='UPDATE "SYNC_REQUESTS"')
    holder = Session(mail.schema.parameters, Statements())
    store = SnowflakeStore(mail.schema.parameters, patience=LIMIT)
    holder.execute("BEGIN TRANSACTION")
    holder.execute("UPDATE SYNC_REQUESTS SET number = number WHERE FALSE")
    with ThreadPoolExecutor(1) as thread:
        serving = thread.submit(store.poll, request, 1, PATIENCE)
        wait_until(lambda: any(session["waiting_for"] for session in mail.schema.sessions()))
        yield holder
        holder.execute("COMMIT")
        result = serving.result()
    assert result is not None
    assert len(result.claimed) == 1
    holder.close()
    store.close()


@pytest.mark.slow
def test_request_posted_twice_is_served_once_though_the_serving_call_saw_it_unserved(
    mail: Mail,
) -> None:
    mail.submit(2)
    mail.put((claim("b", 1), 1), (claim("a", 1), 1))
    with outdated_serving(mail, claim("b", 1)) as holder:
        holder.execute("UPDATE SYNC_REQUESTS SET change_id = 'earlier' WHERE pod_id = 'a'")
        mail.execute(
            "INSERT INTO SYNC_REQUESTS SELECT pod_id, incarnation, number, CURRENT_TIMESTAMP(),"
            " request, claim, outcomes, outcome_count, joins, submissions, routes, NULL"
            " FROM SYNC_REQUESTS WHERE pod_id = 'a' AND NOT joins"
        )
    assert mail.result(claim("a", 1)).claimed == ()
    assert mail.store.counts()["claimed"] == 1


@pytest.mark.slow
def test_void_request_is_not_served_though_the_serving_call_did_not_see_the_later_one(
    mail: Mail,
) -> None:
    mail.submit(2)
    mail.put((claim("b", 1), 1), (claim("a", 1), 1))
    with outdated_serving(mail, claim("b", 1)) as holder:
        holder.execute(
            "INSERT INTO SYNC_REQUESTS SELECT pod_id, incarnation, 2, CURRENT_TIMESTAMP(),"
            " request, claim, outcomes, outcome_count, joins, submissions, routes, NULL"
            " FROM SYNC_REQUESTS WHERE pod_id = 'a' AND NOT joins"
        )
    assert mail.store.counts()["claimed"] == 1


def test_requests_with_other_routes_are_served_by_their_own_pods(mail: Mail) -> None:
    gpu, other = replace(claim("a", 1), routes=Routes(("gpu",))), Routes(("other",))
    mail.store.submit([Submit("for a", "{}", queue="gpu"), Submit("for b", "{}", queue="other")])
    mail.put(
        (gpu, 1),
        (replace(claim("b", 1), routes=other), 1),
        (replace(claim("c", 1), routes=gpu.routes), 1),
    )
    first = mail.result(gpu)
    assert (ids(first), first.served_others) == (["for a"], 1)
    assert ids(mail.result(replace(claim("b", 1), routes=other))) == ["for b"]


@pytest.mark.slow
def test_request_whose_serving_call_was_lost_is_not_served_again(mail: Mail) -> None:
    (step, *_) = mail.submit(2)
    mail.schema.fault("drop", on="call", then="sign-in")
    request = claim("a", 1)
    with pytest.raises(Exception, match="Snowflake"):
        mail.store.post(request, 1, PATIENCE)
    assert ids(mail.result(replace(request, is_retry=True))) == [step]
    assert mail.store.counts()["claimed"] == 1


@pytest.mark.slow
def test_request_that_a_later_one_has_made_void_is_not_served(mail: Mail) -> None:
    steps = mail.submit(2)
    mail.put((claim("a", 1, "void"), 1), (claim("b", 1), 1))
    mail.put((claim("a", 1, "later"), 2))
    assert ids(mail.result(claim("b", 1))) == steps[:1]
    assert ids(mail.result(claim("a", 1, "later"), 2)) == steps[1:]
    facts = [event.fact for event in mail.store.step_events()]
    assert "void" not in [fact.claim_token for fact in facts if isinstance(fact, Claimed)]
    assert mail.store.counts()["claimed"] == 2


@pytest.mark.slow
def test_old_request_is_not_served(mail: Mail) -> None:
    steps = mail.submit(2)
    mail.put((claim("a", 1), 1))
    mail.pass_time(61)
    result = mail.store.post(claim("b", 1), 1, PATIENCE)
    assert result is not None
    assert (ids(result), result.served_others) == (steps[:1], 0)
    assert mail.store.counts()["claimed"] == 1


@pytest.mark.slow
def test_request_waits_for_an_older_one_until_its_patience_is_over(mail: Mail) -> None:
    mail.submit(2)
    mail.put((claim("a", 1), 1), (claim("b", 1), 1))
    assert mail.poll(claim("b", 1)) is None
    mail.pass_time(PATIENCE)
    result = mail.result(claim("b", 1))
    assert (len(result.claimed), result.served_others) == (1, 1)


@pytest.mark.slow
def test_incarnation_that_has_ended_claims_nothing(mail: Mail) -> None:
    mail.submit(2)
    mail.put((claim("a", 1), 1), (claim("b", 1), 1))
    mail.store.sync(SyncRequest("a", "a1", Leave("a", "a1")))
    mail.pass_time(PATIENCE)
    assert len(mail.result(claim("b", 1)).claimed) == 1
    with pytest.raises(IncarnationEnded):
        mail.poll(claim("a", 1))
    assert mail.store.counts()["claimed"] == 1


def test_claim_without_a_due_step_is_answered_and_not_posted(mail: Mail) -> None:
    result = mail.store.post(claim("a", 1), 1, PATIENCE)
    assert result is not None
    assert (result.claimed, result.more) == ((), False)
    assert mail.store.session.execute("SELECT COUNT(*) FROM SYNC_REQUESTS WHERE NOT joins") == [
        (0,)
    ]


def test_heartbeat_of_a_posted_request_is_stored_while_it_waits(mail: Mail) -> None:
    mail.submit(1)
    request = replace(claim("a", 1), pod_command=SendHeartbeat("a", "a1"))
    mail.put((request, 1))
    (pod,) = (pod for pod in mail.store.pods().pods if pod.pod_id == "a")
    assert pod.last_heartbeat_ts == NOW + 1_000


def test_commands_of_pods_are_carried_out_together(mail: Mail) -> None:
    (step_id,) = mail.submit(1)
    (step,) = mail.store.sync(claim("b", 1)).claimed
    leave = SyncRequest(
        "b", "b1", Leave("b", "b1"), outcomes=(Complete(step_id, step.claim_token or "", "1"),)
    )
    drain, sleep = SyncRequest("a", "a1", Drain("a", "a1")), asleep("c")
    mail.put((leave, 1), (sleep, 1), (drain, 1))
    assert [pod.status for pod in mail.store.pods().pods] == ["up", "up", "up"]
    assert mail.result(leave).refused == ()
    assert [pod.status for pod in mail.store.pods().pods] == ["draining", "down", "asleep"]
    assert mail.store.counts()["completed"] == 1


@pytest.mark.slow
def test_command_makes_earlier_requests_void(mail: Mail) -> None:
    steps = mail.submit(2)
    mail.put((claim("b", 1), 1), (claim("a", 1), 1), (asleep("a"), 2))
    assert ids(mail.result(claim("b", 1))) == steps[:1]
    assert [pod.status for pod in mail.store.pods().pods] == ["asleep", "up", "up"]
    assert mail.store.counts()["claimed"] == 1


def test_sleeping_pods_wake_only_if_they_get_a_step(mail: Mail) -> None:
    for pod in PODS:
        mail.store.sync(asleep(pod))
    assert mail.store.post(wake("a"), 1, PATIENCE) == mail.result(wake("a"))  # none is due
    mail.submit(1)
    mail.put((wake("b"), 1), (wake("c"), 1))
    awake, still_asleep = mail.result(wake("b")), mail.result(wake("c"))
    assert (len(awake.claimed), awake.done) == (1, True)
    assert (len(still_asleep.claimed), still_asleep.done) == (0, False)
    assert [pod.status for pod in mail.store.pods().pods] == ["asleep", "up", "asleep"]


@pytest.mark.slow
def test_command_of_an_incarnation_that_has_ended_changes_nothing(mail: Mail) -> None:
    mail.put((asleep("a"), 1))
    mail.store.sync(SyncRequest("a", "a2", Join("a", "a2")))
    with pytest.raises(IncarnationEnded):
        mail.result(asleep("a"))
    assert [pod.status for pod in mail.store.pods().pods] == ["up", "up", "up"]


@pytest.mark.slow
def test_serving_calls_run_one_after_another(mail: Mail) -> None:
    other = Session(mail.schema.parameters, Statements())
    other.execute("BEGIN TRANSACTION")
    other.execute("UPDATE SYNC_REQUESTS SET number = number")
    impatient = SnowflakeStore(
        {**mail.schema.parameters, "session_parameters": {"LOCK_TIMEOUT": 0}}, patience=0
    )
    mail.submit(1)
    with pytest.raises(Exception, match="Snowflake"):
        impatient.post(claim("a", 1), 1, PATIENCE)
    other.close()
    assert len(mail.result(claim("a", 1)).claimed) == 1
    impatient.close()


def test_leader_deletes_old_requests(mail: Mail) -> None:
    mail.submit(1)
    mail.store.post(claim("a", 1), 1, PATIENCE)
    mail.store.fold_heartbeats()
    assert mail.store.session.execute("SELECT COUNT(*) FROM SYNC_REQUESTS") == [(len(PODS) + 1,)]
    mail.pass_time(601)
    mail.store.fold_heartbeats()
    assert mail.store.session.execute("SELECT COUNT(*) FROM SYNC_REQUESTS") == [(0,)]
