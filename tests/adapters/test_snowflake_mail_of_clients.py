"""Submissions and joins in the mailbox: checked together, each carried out once."""

from __future__ import annotations

import pytest

from fleet_q.core.errors import IncarnationEnded
from fleet_q.core.pod import Join, PodDescription
from fleet_q.core.ports import CheckedSubmission, SubmissionResult, SyncRequest
from fleet_q.core.step import Submit
from tests.adapters.test_snowflake_mailbox import PATIENCE, Mail, claim, ids, mail

pytestmark = pytest.mark.slow

__all__ = ["mail"]

STORED = SubmissionResult(True)


def submission(name: str, *step_ids: str, by: str | None = None) -> CheckedSubmission:
    return CheckedSubmission(name, tuple(Submit(step_id, "{}") for step_id in step_ids), by)


def put(mail: Mail, *submissions: CheckedSubmission) -> None:
    """Post submissions a millisecond after each other. They wait."""
    with mail.nobody_serves():
        for each in submissions:
            mail.pass_time(0.001)
            assert mail.store.submit_checked(each, PATIENCE, is_posted=False) is None


def poll(mail: Mail, posted: CheckedSubmission) -> SubmissionResult | None:
    return mail.store.submit_checked(posted, PATIENCE, is_posted=True)


def join(incarnation: str, pod: str = "a", description: str | None = None) -> SyncRequest:
    return SyncRequest(pod, incarnation, Join(pod, incarnation, description))


def test_pod_serves_submissions_together_with_its_request(mail: Mail) -> None:
    (step,) = mail.submit(1)
    first, second = submission("one", "x", "y", by="pod"), submission("two", "z")
    mail.put((claim("a", 9), 1))
    put(mail, first, second)
    result = mail.result(claim("a", 9))
    assert (ids(result), result.served_others) == ([step], 2)
    assert [poll(mail, first), poll(mail, second)] == [STORED, STORED]
    assert [event.pod_id for i in "xyz" for event in mail.store.history(i)] == ["pod", "pod", None]
    assert ids(mail.store.sync(claim("b", 9))) == ["x", "y", "z"]


def test_client_serves_requests_of_pods_together_with_its_submission(mail: Mail) -> None:
    steps = mail.submit(2)
    mine = submission("one", "x")
    put(mail, mine)
    mail.put((claim("a", 2), 1))
    assert poll(mail, mine) == STORED
    assert ids(mail.result(claim("a", 2))) == steps


def test_of_two_submissions_under_one_id_the_older_one_is_stored(mail: Mail) -> None:
    older, newer = submission("two", "x"), submission("one", "x", "y")
    put(mail, older, newer)
    assert poll(mail, newer) is None
    assert poll(mail, older) == STORED
    result = poll(mail, newer)
    assert result is not None
    assert not result.is_stored
    assert [step.step_id for step in result.existing] == ["x"]
    assert mail.store.step("y") is None


def test_submission_that_shares_an_id_with_one_that_was_not_stored_can_be_tried_again(
    mail: Mail,
) -> None:
    mail.submit(1)
    refused, other = submission("one", "step 00", "x"), submission("two", "x")
    put(mail, refused, other)
    result = poll(mail, refused)
    assert result is not None
    assert not result.is_stored
    assert poll(mail, other) == SubmissionResult(False)
    again = submission("three", "x")
    assert mail.store.submit_checked(again, PATIENCE, is_posted=False) == STORED


def test_submission_that_was_posted_twice_is_stored_once(mail: Mail) -> None:
    mine = submission("one", "x")
    put(mail, mine, mine)
    assert [poll(mail, mine), poll(mail, mine)] == [STORED, STORED]
    mail.execute(
        "INSERT INTO SYNC_REQUESTS SELECT pod_id, incarnation, number, CURRENT_TIMESTAMP(),"
        " request, claim, outcomes, outcome_count, joins, submissions, routes, NULL"
        " FROM SYNC_REQUESTS WHERE incarnation = 'one'"
    )
    assert mail.store.submit_checked(submission("two", "y"), 0.0, is_posted=False) == STORED
    assert len(mail.store.history("x")) == 1


def test_submission_that_waits_for_too_long_is_posted_again(mail: Mail) -> None:
    mine = submission("one", "x")
    put(mail, mine)
    mail.pass_time(61)
    assert mail.store.submit_checked(submission("two", "y"), PATIENCE, is_posted=False) == STORED
    assert mail.store.step("x") is None
    assert poll(mail, mine) == STORED


def test_one_call_lets_many_pods_join(mail: Mail) -> None:
    joins = [join("a2"), join("d1", "d"), join("e1", "e")]
    mail.put(*((request, 1) for request in joins))
    result = mail.result(joins[0])
    assert result.served_others == 2
    assert [mail.result(request).served_others for request in joins[1:]] == [None, None]
    pods = {pod.pod_id: (pod.status, pod.incarnation) for pod in mail.store.pods().pods}
    assert pods["a"] == ("up", "a2")
    assert pods["d"] == ("up", "d1")
    assert [event.pod_id for event in mail.store.pod_history("e")] == ["e"]


def test_pods_that_join_together_tell_what_they_are(mail: Mail) -> None:
    """A description may be as long as a request, and is no part of what the others ask for."""
    types = tuple(f'"becomes": it\'s {number}' for number in range(1_000))
    long = PodDescription("host", None, 8, None, types).text
    told = {"a": None, "d": PodDescription("höst", "1.0", 6, ("gpu",)).text, "e": long}
    mail.submit(1)
    mail.put(*((join(f"{pod}2", pod, text), 1) for pod, text in told.items()), (claim("b", 1), 1))
    assert mail.result(join("a2")).served_others == 3
    assert len(mail.result(claim("b", 1)).claimed) == 1
    pods = {pod.pod_id: pod.description for pod in mail.store.described_pods().pods}
    assert {pod: pods[pod] for pod in told} == told
    mail.store.sync(join("e3", "e", told["d"]))
    assert mail.store.described_pods().pods[-1].description == told["d"]


def test_pod_joins_again_after_the_clock_was_set_back(mail: Mail) -> None:
    mail.store.sync(join("a2"))
    mail.pass_time(-400)
    mail.store.sync(join("a3"))
    assert mail.store.pods().pods[0].incarnation == "a3"


def test_join_does_not_end_a_process_that_posted_its_join_later(mail: Mail) -> None:
    mail.submit(1)
    mail.put((join("a2"), 1), (join("a3"), 1), (claim("b", 1), 1))
    mail.pass_time(PATIENCE * 2)
    mail.result(claim("b", 1))
    assert [pod.incarnation for pod in mail.store.pods().pods] == ["a3", "b1", "c1"]
    mail.execute(
        "INSERT INTO SYNC_REQUESTS SELECT pod_id, incarnation, number, CURRENT_TIMESTAMP(),"
        " request, claim, outcomes, outcome_count, joins, submissions, routes, NULL"
        " FROM SYNC_REQUESTS WHERE incarnation = 'a2'"
    )
    mail.store.sync(join("d1", "d"))
    assert mail.store.pods().pods[0].incarnation == "a3"
    with pytest.raises(IncarnationEnded) as ended:
        mail.poll(join("a2"))
    assert ended.value.superseded
    assert mail.result(join("a3")).claimed == ()
