"""Claiming ahead: what ends within a turn is claimed before it is needed, and nothing else."""

from __future__ import annotations

from fleet_q.core.step import Release
from tests.core.helpers import Pilot


def take(pilot: Pilot, seconds: float, *step_ids: str) -> int:
    """A turn of that duration; how many steps it claims."""
    pilot.plan()
    pilot.wait(0.2)  # for outcomes to gather
    turn = pilot.turn()
    pilot.wait(seconds)
    pilot.answer(turn, *step_ids)
    return turn.claim


def finish_all(pilot: Pilot, *step_ids: str) -> None:
    for step_id in step_ids:
        pilot.finish(step_id)


def test_where_steps_end_faster_than_turns_more_are_claimed_than_run() -> None:
    pilot = Pilot()
    take(pilot, 1.0, *"abcdef")
    finish_all(pilot, *"abcdef")  # at once: six a second, as seen from here, and a turn takes one
    assert take(pilot, 1.0) == 6 + 12


def test_where_steps_take_longer_than_turns_none_is_claimed_ahead() -> None:
    pilot = Pilot()
    take(pilot, 0.01, *"abcdef")
    pilot.wait(5)
    finish_all(pilot, *"abcdef")
    assert take(pilot, 0.01) == 6


def test_no_more_than_the_setting_is_claimed_ahead() -> None:
    pilot = Pilot(claim_ahead=3)
    take(pilot, 1.0, *"abcdef")
    finish_all(pilot, *"abcdef")
    assert take(pilot, 1.0) == 6 + 3


def test_a_claim_that_was_not_filled_ends_it() -> None:
    pilot = Pilot()
    take(pilot, 1.0, *"abcdef")
    finish_all(pilot, *"abcdef")
    take(pilot, 1.0, "g")
    pilot.wait(5)
    assert pilot.turn().claim == 5


def held_ahead() -> Pilot:
    """A pod with six slots that holds eight steps."""
    pilot = Pilot(claim_interval=5.0)
    take(pilot, 1.0, *"abcdef")
    finish_all(pilot, *"abcdef")
    take(pilot, 1.0, *"ghijklmn")
    return pilot


def test_what_would_have_to_wait_is_given_back() -> None:
    pilot = held_ahead()
    assert not pilot.plan().withdraw
    assert pilot.plan().look_again <= pilot.now + 5
    pilot.wait(5)
    assert pilot.plan().withdraw
    pilot.machine.finished(Release("m", pilot.tokens["m"]))
    pilot.machine.finished(Release("n", pilot.tokens["n"]))
    pilot.plan()
    pilot.wait(0.2)
    turn = pilot.turn()
    assert [type(outcome) for outcome in turn.outcomes] == [Release, Release]
    assert turn.claim == 0
    assert not pilot.plan().withdraw


def test_nothing_is_given_back_while_steps_end() -> None:
    pilot = held_ahead()
    for step_id in "ghi":
        pilot.wait(4)
        pilot.finish(step_id)
        assert not pilot.plan().withdraw
        take(pilot, 0.0)


def test_a_pod_that_drains_gives_back_at_once_what_has_not_begun() -> None:
    pilot = held_ahead()
    pilot.machine.drain(pilot.now)
    assert pilot.plan().withdraw
    assert not pilot.plan().withdraw
